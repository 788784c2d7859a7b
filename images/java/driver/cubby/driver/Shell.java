package cubby.driver;

import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import jdk.jshell.DeclarationSnippet;
import jdk.jshell.EvalException;
import jdk.jshell.ExpressionSnippet;
import jdk.jshell.JShell;
import jdk.jshell.Snippet;
import jdk.jshell.Snippet.Status;
import jdk.jshell.Snippet.SubKind;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;
import jdk.jshell.UnresolvedReferenceException;

/** JShell, with results and errors as data instead of text on a terminal. One thread at a time uses it. */
final class Shell {
    // JShell's own by default, and what shows more than text.
    private static final List<String> IMPORTS = List.of(
        "java.io.*", "java.math.*", "java.net.*", "java.nio.file.*", "java.util.*", "java.util.concurrent.*",
        "java.util.function.*", "java.util.prefs.*", "java.util.regex.*", "java.util.stream.*", "cubby.*",
        "static cubby.Display.*");

    private final Engine engine = new Engine();
    private final JShell jshell;
    private final ClassLoader loader;
    private final Map<String, Place> places = new HashMap<>(); // of snippets, by id

    /** Where in which cell a snippet begins; lines count from 1. */
    private record Place(int cell, int line) {}

    /** A piece of a cell that is a snippet of its own, or one that cannot be read as such. */
    private record Part(String source, int line, boolean unreadable) {}

    Shell() {
        jshell = JShell.builder().executionEngine(engine, Map.of()).in(InputStream.nullInputStream()).build();
        loader = Thread.currentThread().getContextClassLoader(); // the engine's, with the classes of cells
        for (String name : IMPORTS) {
            jshell.eval("import " + name + ";");
        }
    }

    /** Interrupts an execution. It may be called from any thread. */
    void interrupt(Outputs.Execution execution) {
        engine.interrupt(execution);
    }

    /** Makes room in a heap that is full, for what has to be done nevertheless. */
    void relieve() {
        engine.relieve();
    }

    /** Runs a cell for an execution, gives the value of its last expression to show, and returns what it failed of. */
    Failure run(int cell, String code, Outputs.Execution execution, Consumer<Map<String, Object>> show) {
        Thread.currentThread().setContextClassLoader(loader);
        engine.begin(execution);
        List<Part> parts = split(code);
        if (!parts.isEmpty() && parts.getLast().unreadable) {
            parts = List.of(parts.getLast()); // the compiler says what is wrong, and nothing of the cell runs
        }
        List<Snippet> declared = new ArrayList<>();
        for (Part part : parts) {
            SnippetEvent event = null;
            for (SnippetEvent each : jshell.eval(part.source)) {
                event = each.causeSnippet() == null ? each : event;
            }
            if (event == null) {
                continue;
            }
            places.put(event.snippet().id(), new Place(cell, part.line));
            Failure failure = failure(event, part, execution);
            if (failure == null && part == parts.getLast()) {
                failure = show(event.snippet(), execution, show);
            }
            if (failure != null) {
                return failure;
            }
            declared.add(event.snippet());
        }
        engine.restock();
        return undeclared(declared);
    }

    /** Returns the pieces of a cell. Behind one that cannot be read there is no other. */
    private List<Part> split(String code) {
        List<Part> parts = new ArrayList<>();
        SourceCodeAnalysis analysis = jshell.sourceCodeAnalysis();
        String rest = code;
        int line = 1;
        while (!rest.isBlank()) {
            int blank = rest.length() - rest.stripLeading().length();
            line += lines(rest.substring(0, blank));
            rest = rest.substring(blank);
            CompletionInfo info = analysis.analyzeCompletion(rest);
            if (info.completeness() == SourceCodeAnalysis.Completeness.EMPTY) {
                break;
            }
            boolean unreadable = !info.completeness().isComplete();
            parts.add(new Part(unreadable || info.source() == null ? rest : info.source(), line, unreadable));
            String remaining = unreadable || info.remaining() == null ? "" : info.remaining();
            line += lines(rest.substring(0, rest.length() - remaining.length()));
            rest = remaining;
        }
        return parts;
    }

    private static int lines(String text) {
        return (int) text.chars().filter(c -> c == '\n').count();
    }

    private Failure failure(SnippetEvent event, Part part, Outputs.Execution execution) {
        Throwable thrown = engine.takeThrown();
        Snippet snippet = event.snippet();
        if (event.status() == Status.REJECTED) {
            return refused(snippet, part.line);
        }
        if (Compiler.exceedsLimits(jshell, snippet)) {
            Failure failure = refused(snippet, part.line);
            jshell.drop(snippet);
            Compiler.renew(jshell);
            return failure;
        }
        if (execution.interrupted && (thrown != null || engine.takeRefusal())) {
            return Failure.interrupted();
        }
        return switch (event.exception()) {
            case EvalException user -> Failure.of(user, this::place);
            case UnresolvedReferenceException unresolved -> unresolved(unresolved);
            case null -> thrown == null ? null : Failure.of(thrown);
            default -> Failure.of(event.exception());
        };
    }

    private Failure show(Snippet snippet, Outputs.Execution execution, Consumer<Map<String, Object>> show) {
        Object value = engine.takeValue();
        SubKind kind = snippet.subKind();
        boolean expression = snippet instanceof ExpressionSnippet || kind == SubKind.TEMP_VAR_EXPRESSION_SUBKIND;
        if (value == null || !expression || kind == SubKind.ASSIGNMENT_SUBKIND) {
            return null;
        }
        try {
            show.accept(engine.asUser(() -> Values.bundle(value)));
            return null;
        } catch (Exception | Error e) {
            return execution.interrupted ? Failure.interrupted() : Failure.of(e);
        }
    }

    /** Returns what is wrong with declarations that wait for others, which the whole cell did not bring. */
    private Failure undeclared(List<Snippet> declared) {
        for (Snippet snippet : declared) {
            if (jshell.status(snippet) == Status.RECOVERABLE_NOT_DEFINED) {
                return refused(snippet, places.get(snippet.id()).line);
            }
        }
        return null;
    }

    private Failure refused(Snippet snippet, int line) {
        return Failure.of(jshell.diagnostics(snippet).toList(), snippet.source(), line);
    }

    private Failure unresolved(UnresolvedReferenceException exception) {
        DeclarationSnippet snippet = exception.getSnippet();
        String missing = String.join(", ", jshell.unresolvedDependencies(snippet).toList());
        List<String> errors = jshell.diagnostics(snippet).map(diag -> diag.getMessage(null)).toList();
        String value = snippet.source().lines().findFirst().orElse("") + " needs "
            + (missing.isEmpty() ? String.join("; ", errors) : missing);
        StringBuilder trace = new StringBuilder("UnresolvedReferenceException: ").append(value);
        for (StackTraceElement element : exception.getStackTrace()) {
            trace.append("\n\tat ").append(place(element));
        }
        return new Failure("UnresolvedReferenceException", value, trace.toString());
    }

    /** Returns a frame as text. JShell names the snippet for the file. */
    private String place(StackTraceElement element) {
        String file = element.getFileName();
        Place place = file != null && file.startsWith("#") ? places.get(file.substring(1)) : null;
        if (place == null) {
            return file != null && file.startsWith("#") ? "this cell" : element.toString();
        }
        String method = element.getMethodName().equals("do_it$") ? "" : element.getMethodName();
        boolean topLevel = element.getClassName().isEmpty() || method.isEmpty();
        String name = topLevel ? method : element.getClassName() + "." + method;
        return (name + " (cell " + place.cell + ", line " + (place.line + element.getLineNumber() - 1) + ")").strip();
    }
}
