package cubby.driver;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import sun.misc.Signal;

/**
 * The Java driver: JShell, spoken to over file descriptor 3 (orchestrator/supervisor/doc.go).
 *
 * <p>The main thread receives requests. User code runs in a thread of its own, a new one for each execution. It shares
 * the process and can break much, so what the driver needs is in private fields and reached without user code.
 */
public final class Kernel {
    private static volatile Kernel kernel;

    private final Outputs outputs = new Outputs();
    private final Environment environment = new Environment();
    private final Directory directory = new Directory();
    private final Channel channel;
    private final Shell shell;
    private final ReentrantLock answering = new ReentrantLock(); // held while a frame of the running execution goes out
    private volatile Outputs.Execution running; // of which the end has not been told
    private int count;

    Kernel() throws IOException {
        channel = new Channel();
        shell = new Shell();
        kernel = this;
    }

    /**
     * Boots, then serves until the supervisor closes the channel. An argument names a setup that is to be answered, or
     * is the word train.
     */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        Kernel kernel = new Kernel();
        if (arguments.length > 0 && arguments[0].equals("train")) {
            Training.run(kernel);
            return;
        }
        if (arguments.length > 0) {
            kernel.enter(Directory.handed(arguments[0]));
        } else {
            kernel.channel.send(Map.of("type", "boot", "version", System.getProperty("java.version")));
        }
        kernel.serve();
    }

    private void serve() {
        while (true) {
            try {
                for (Channel.Request request : channel.receive()) {
                    answer(request);
                }
            } catch (Throwable e) {
                channel.die("answer a request: " + e);
            }
        }
    }

    private void answer(Channel.Request request) throws IOException {
        switch (request.text("op")) {
            case "setup" -> setup(request);
            case "ping" -> channel.send(Map.of("type", "pong"));
            case "execute" -> execute(request);
            case "interrupt" -> interrupt();
            default -> { }
        }
    }

    private void setup(Channel.Request request) {
        try {
            Path path = directory.find(request.text("cwd"));
            if (!directory.isCurrent(path)) {
                directory.startAnewIn(path, Json.write(request.env()), channel);
            }
            environment.set(request.env());
            channel.send(Map.of("type", "ready"));
        } catch (IOException e) {
            channel.send(Map.of("type", "failed", "value", e.getMessage()));
        }
    }

    /** Answers the setup for which this process took the place of another, in the directory that is meant. */
    @SuppressWarnings("unchecked") // as setup wrote it
    private void enter(String variables) {
        try {
            environment.set((Map<String, String>) Json.parse(variables));
            channel.send(Map.of("type", "ready"));
        } catch (IOException e) {
            channel.send(Map.of("type", "failed", "value", e.getMessage()));
        }
    }

    /** Interrupts what runs. It waits for no frame; and no execution begins meanwhile, which this thread sees to as well. */
    private void interrupt() {
        Outputs.Execution execution = running;
        if (execution != null) {
            shell.interrupt(execution);
        }
    }

    private void execute(Channel.Request request) throws IOException {
        if (request.fds().size() != 2) {
            channel.die("an execute came without its pipes: no file descriptor is left for them");
        }
        begin(request.text("code"), request.env(), request.fds());
    }

    /** Starts an execution, whose output goes to the file descriptors, and returns its thread. */
    Thread begin(String code, Map<String, String> variables, List<Integer> fds) throws IOException {
        // Children that user code has started take the signal of an interrupt; here it is a frame.
        Signal.handle(new Signal("INT"), signal -> { });
        Outputs.Execution execution = outputs.begin(fds.get(0), fds.get(1));
        int cell = ++count;
        running = execution;
        channel.send(Map.of("type", "started", "count", cell));
        Thread thread = new Thread(() -> run(cell, code, variables, execution), "cell " + cell);
        try {
            thread.start();
        } catch (OutOfMemoryError e) {
            finish(Failure.of(e)); // no thread is left
        }
        return thread;
    }

    private void run(int cell, String code, Map<String, String> variables, Outputs.Execution execution) {
        Failure failure;
        Environment.Before before = null;
        try {
            Outputs.enter(execution);
            environment.repair();
            before = environment.set(variables);
            failure = shell.run(cell, code, execution, bundle -> publish(bundle, true));
        } catch (Throwable e) {
            shell.relieve();
            failure = Failure.of(e);
        }
        try {
            restore(before);
            finish(failure);
        } catch (Throwable e) { // unsaid, nobody would ever hear of the end
            channel.die("end of the execution: " + e);
        }
    }

    private void restore(Environment.Before before) throws IOException {
        if (before != null) {
            environment.restore(before);
        }
    }

    private void finish(Failure failure) {
        answering.lock();
        try {
            running = null;
            if (failure != null) {
                Map<String, Object> frame = new LinkedHashMap<>();
                frame.put("type", "error");
                frame.put("name", failure.name());
                frame.put("value", failure.value());
                frame.put("traceback", failure.traceback());
                channel.send(frame);
            }
            channel.send(Map.of("type", "done"));
        } finally {
            answering.unlock();
        }
    }

    /** Sends a result of the running execution; what a thread of another wants to show is dropped. */
    public static void publish(Map<String, Object> bundle, boolean main) {
        Kernel kernel = Kernel.kernel;
        kernel.answering.lock();
        try {
            if (kernel.running != null && kernel.running == Outputs.current()) {
                Map<String, Object> frame = new LinkedHashMap<>();
                frame.put("type", "result");
                frame.put("main", main);
                frame.put("data", bundle);
                kernel.channel.send(frame);
            }
        } finally {
            kernel.answering.unlock();
        }
    }
}
