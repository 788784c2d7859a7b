package cubby.driver;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;

/** What an execution failed of, as the frame of an error tells it. */
record Failure(String name, String value, String traceback) {
    // What the compiler's parser has to say, and not what comes after it.
    private static final Pattern SYNTAX = Pattern.compile("compiler\\.err\\.("
        + "expected\\d?|premature\\.eof|not\\.stmt|orphaned|(illegal|malformed|unclosed|empty|invalid)\\..*"
        + "|.*\\.without\\..*|int\\.number\\.too\\.large|(class|variable)\\.not\\.allowed|repeated\\.modifier)");

    /** Returns the failure of an execution that was interrupted. */
    static Failure interrupted() {
        String value = "the execution was interrupted";
        return new Failure("InterruptedException", value, "InterruptedException: " + value);
    }

    /** Returns an exception of user code, of which JShell has found where in the snippets it was thrown. */
    static Failure of(EvalException exception, Function<StackTraceElement, String> place) {
        StringBuilder trace = new StringBuilder();
        Set<Throwable> seen = Collections.newSetFromMap(new IdentityHashMap<>());
        for (Throwable each = exception; each != null && seen.add(each); each = each.getCause()) {
            String name = each instanceof EvalException user ? user.getExceptionClassName() : each.getClass().getName();
            trace.append(each == exception ? "" : "\nCaused by: ").append(headline(name, each.getMessage()));
            for (StackTraceElement element : each.getStackTrace()) {
                trace.append("\n\tat ").append(place.apply(element));
            }
        }
        return new Failure(simple(exception.getExceptionClassName()), text(exception.getMessage()), trace.toString());
    }

    /** Returns an exception of which no more is known than itself. One whose methods throw is survived. */
    static Failure of(Throwable thrown) {
        String message;
        try {
            message = thrown.getMessage();
        } catch (Throwable e) {
            message = null;
        }
        String name = thrown.getClass().getName();
        return new Failure(simple(name), text(message), headline(name, message));
    }

    /** Returns what the compiler has to say about source that begins at a line of the cell, counted from 1. */
    static Failure of(List<Diag> diagnostics, String source, int firstLine) {
        List<Diag> errors = diagnostics.stream().filter(Diag::isError).toList();
        boolean syntax = errors.isEmpty() || SYNTAX.matcher(errors.getFirst().getCode()).matches();
        String name = syntax ? "SyntaxError" : "CompilationException";
        String value = errors.isEmpty() ? "the code is not complete"
            : errors.stream().map(diag -> message(diag, source, firstLine)).collect(Collectors.joining("\n"));
        return new Failure(name, value.lines().findFirst().orElse(""), name + ": " + value);
    }

    private static String message(Diag diag, String source, int firstLine) {
        int at = Math.clamp(diag.getPosition(), 0, source.length());
        int start = source.lastIndexOf('\n', at - 1) + 1;
        int end = source.indexOf('\n', at);
        long line = firstLine + source.substring(0, start).chars().filter(c -> c == '\n').count();
        String text = source.substring(start, end < 0 ? source.length() : end);
        String indent = text.substring(0, at - start).replaceAll("[^\t]", " ");
        // JShell's own class, in which all code is, has no name that could be said.
        String said = diag.getMessage(null).lines().filter(each -> !each.strip().equals("location: class"))
            .collect(Collectors.joining("\n"));
        return "line " + line + ": " + said + "\n" + text + "\n" + indent + "^";
    }

    private static String headline(String name, String message) {
        return message == null ? name : name + ": " + message;
    }

    private static String simple(String name) {
        return name.substring(Math.max(name.lastIndexOf('.'), name.lastIndexOf('$')) + 1);
    }

    private static String text(String message) {
        return message == null ? "" : message;
    }
}
