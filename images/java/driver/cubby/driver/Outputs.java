package cubby.driver;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.ref.WeakReference;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.concurrent.ForkJoinWorkerThread;
import java.util.concurrent.locks.ReentrantLock;
import jdk.internal.access.SharedSecrets;

/**
 * Output: each execution has pipes of its own for stdout and stderr. File descriptors 1 and 2 are those of the newest,
 * for child processes. What Java prints goes to the pipe of the execution that caused it, also from a thread that
 * outlives it. A thread belongs to the execution that started it, but a worker of a pool to whatever runs.
 */
public final class Outputs {
    private static final int KEPT = 64; // executions with open pipes; what older ones print is dropped

    /** Whether the newest execution was interrupted, and its threads are to end. User code asks in every loop. */
    public static volatile boolean stopping;

    private static final InheritableThreadLocal<Execution> OWN = new InheritableThreadLocal<>();
    private static volatile Execution newest;

    private final ArrayDeque<Kept> kept = new ArrayDeque<>();
    private final PrintStream out = new PrintStream(new Stream(0), false, StandardCharsets.UTF_8);
    private final PrintStream err = new PrintStream(new Stream(1), false, StandardCharsets.UTF_8);

    /** One execution, and where it writes. */
    static final class Execution {
        final ReentrantLock lock = new ReentrantLock();
        final Pipes pipes;
        Thread user; // the thread that runs its user code, while it does
        boolean interrupted;

        Execution(Pipes pipes) {
            this.pipes = pipes;
        }
    }

    /** The write ends of an execution's pipes. */
    static final class Pipes {
        private final FileOutputStream[] files = new FileOutputStream[2];
        private final int[] fds;
        private final ReentrantLock lock = new ReentrantLock();
        private int writers;
        private boolean closed;

        Pipes(int stdout, int stderr) {
            fds = new int[] {stdout, stderr};
            files[0] = new FileOutputStream(descriptor(stdout));
            files[1] = new FileOutputStream(descriptor(stderr));
        }

        /** Writes, or drops what nobody reads any more. */
        void write(int stream, byte[] data, int offset, int length) throws IOException {
            lock.lock();
            try {
                if (closed) {
                    return;
                }
                writers++;
            } finally {
                lock.unlock();
            }
            try {
                files[stream].write(data, offset, length);
            } finally {
                leave();
            }
        }

        private void leave() throws IOException {
            lock.lock();
            try {
                writers--;
                closeUnused();
            } finally {
                lock.unlock();
            }
        }

        /** Closes the pipes, once nobody is writing: the numbers would be another's. */
        void close() throws IOException {
            lock.lock();
            try {
                if (!closed) {
                    closed = true;
                    closeUnused();
                }
            } finally {
                lock.unlock();
            }
        }

        private void closeUnused() throws IOException {
            if (closed && writers == 0) {
                for (int fd : fds) {
                    Libc.close(fd);
                }
            }
        }
    }

    /** The pipes of an execution that is over, and the execution for as long as a thread belongs to it. */
    private record Kept(WeakReference<Execution> execution, Pipes pipes) {}

    /** System.out or System.err beneath their buffers: each write goes where the thread's execution has its pipe. */
    private static final class Stream extends OutputStream {
        private final int index;

        Stream(int index) {
            this.index = index;
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] data, int offset, int length) throws IOException {
            Execution here = current();
            if (here != null) {
                here.pipes.write(index, data, offset, length);
            }
        }
    }

    /** Makes a pair of pipes those of the newest execution, which is returned. */
    Execution begin(int stdout, int stderr) throws IOException {
        stdout = aboveStandard(stdout);
        stderr = aboveStandard(stderr);
        Libc.dup2(stdout, 1);
        Libc.dup2(stderr, 2);
        stopping = false;
        newest = new Execution(new Pipes(stdout, stderr));
        retire();
        kept.add(new Kept(new WeakReference<>(newest), newest.pipes));
        System.setOut(out);
        System.setErr(err);
        return newest;
    }

    /** Closes the pipes of executions that have no thread any more, and of the oldest beyond what is kept. */
    private void retire() throws IOException {
        int surplus = kept.size() + 1 - KEPT;
        for (Kept each : kept.toArray(Kept[]::new)) {
            if (each.execution.get() == null || surplus > 0) {
                kept.remove(each);
                each.pipes.close();
                surplus--;
            }
        }
    }

    /** Makes this thread, and those that it starts, belong to the execution. */
    static void enter(Execution execution) {
        OWN.set(execution);
    }

    /** Returns the execution that the thread belongs to; null before the first. */
    static Execution current() {
        Thread thread = Thread.currentThread();
        Execution own = thread instanceof ForkJoinWorkerThread || Threads.isPoolWorker(thread) ? null : OWN.get();
        return own == null ? newest : own;
    }

    /** Ends the thread if it belongs to the execution that was interrupted. */
    public static void stopCheck() {
        if (current() == newest) {
            throw new Stop();
        }
    }

    /** What ends the threads of an interrupted execution. */
    static final class Stop extends Error {
        private static final long serialVersionUID = 1;

        Stop() {
            super("interrupted", null, false, false);
        }
    }

    /** Returns a file descriptor as Java's streams take it; closing is up to whoever calls. */
    static FileDescriptor descriptor(int fd) {
        FileDescriptor descriptor = new FileDescriptor();
        SharedSecrets.getJavaIOFileDescriptorAccess().set(descriptor, fd);
        return descriptor;
    }

    /** Returns the file descriptor as one that is not 0, 1 or 2, which it can be where user code has closed those. */
    private static int aboveStandard(int fd) throws IOException {
        if (fd > 2) {
            return fd;
        }
        int moved = Libc.duplicate(fd);
        Libc.close(fd);
        return moved;
    }
}
