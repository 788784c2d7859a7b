package cubby.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.List;

/** The calls into the C library that Java has no words for. Every int -1 is thrown as what errno says. */
final class Libc {
    static final int FD_CLOEXEC = 1;
    static final int F_DUPFD_CLOEXEC = 1030;
    private static final int F_SETFD = 2;
    private static final int MSG_CMSG_CLOEXEC = 0x40000000;
    private static final int SCM_RIGHTS = 1;
    private static final int SOL_SOCKET = 1;
    private static final int EINTR = 4;
    // struct msghdr and struct cmsghdr of 64-bit Linux
    private static final long MSGHDR_SIZE = 56;
    private static final long CMSGHDR_SIZE = 16;
    private static final long CONTROL_SIZE = 64;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final MethodHandle FCNTL =
        handle("fcntl", Linker.Option.firstVariadicArg(2), JAVA_INT, JAVA_INT, JAVA_INT);
    private static final MethodHandle DUP2 = handle("dup2", null, JAVA_INT, JAVA_INT);
    private static final MethodHandle CLOSE = handle("close", null, JAVA_INT);
    private static final MethodHandle RECVMSG = handle("recvmsg", null, JAVA_INT, ADDRESS, JAVA_INT);

    private Libc() {}

    private static MethodHandle handle(String name, Linker.Option option, MemoryLayout... arguments) {
        Linker.Option state = Linker.Option.captureCallState("errno");
        Linker.Option[] options = option == null ? new Linker.Option[] {state} : new Linker.Option[] {state, option};
        // recvmsg's long is an int here as well: no answer is longer than the buffer.
        FunctionDescriptor descriptor = FunctionDescriptor.of(JAVA_INT, arguments);
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor, options);
    }

    /** Calls with a place for errno before the arguments, and throws what it says. */
    private static int call(String name, MethodHandle handle, Object... arguments) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(STATE);
            Object[] all = new Object[arguments.length + 1];
            all[0] = state;
            for (int i = 0; i < arguments.length; i++) {
                all[i + 1] = arguments[i] instanceof String text ? arena.allocateFrom(text) : arguments[i];
            }
            int result = (int) handle.invokeWithArguments(all);
            if (result == -1) {
                throw new Failure(name, (int) ERRNO.get(state, 0L));
            }
            return result;
        } catch (IOException | RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IOException(name, e);
        }
    }

    /** A call that failed. */
    static final class Failure extends IOException {
        private static final long serialVersionUID = 1;
        final int errno;

        Failure(String call, int errno) {
            super(call + ": " + reason(errno));
            this.errno = errno;
        }

        private static String reason(int errno) {
            return switch (errno) {
                case 1, 13 -> "permission denied";
                case 2 -> "no such file or directory";
                case 7 -> "argument list too long";
                case 12 -> "no memory left";
                case 20 -> "not a directory";
                case 24 -> "no file descriptor is left";
                case 36 -> "name too long";
                case 40 -> "too many symbolic links";
                default -> "error " + errno;
            };
        }
    }

    /** Returns a duplicate of the file descriptor, from 3 up and not for children. */
    static int duplicate(int fd) throws IOException {
        return call("fcntl", FCNTL, fd, F_DUPFD_CLOEXEC, 3);
    }

    /** Says whether programs that are executed have the file descriptor. */
    static void setCloseOnExec(int fd, boolean close) throws IOException {
        call("fcntl", FCNTL, fd, F_SETFD, close ? FD_CLOEXEC : 0);
    }

    static void dup2(int from, int to) throws IOException {
        call("dup2", DUP2, from, to);
    }

    static void close(int fd) throws IOException {
        call("close", CLOSE, fd);
    }

    static void chdir(String path) throws IOException {
        call("chdir", handle("chdir", null, ADDRESS), path);
    }

    static void setenv(String name, String value) throws IOException {
        call("setenv", handle("setenv", null, ADDRESS, ADDRESS, JAVA_INT), name, value, 1);
    }

    static void unsetenv(String name) throws IOException {
        call("unsetenv", handle("unsetenv", null, ADDRESS), name);
    }

    /** Returns a file without a name, which executed programs have. */
    static int memfd(String name) throws IOException {
        return call("memfd_create", handle("memfd_create", null, ADDRESS, JAVA_INT), name, 0);
    }

    /** Replaces this process by another program. It returns only to throw why it could not. */
    static void execv(List<String> arguments) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment argv = arena.allocate(ADDRESS, arguments.size() + 1L);
            for (int i = 0; i < arguments.size(); i++) {
                argv.setAtIndex(ADDRESS, i, arena.allocateFrom(arguments.get(i)));
            }
            argv.setAtIndex(ADDRESS, arguments.size(), MemorySegment.NULL);
            call("execv", handle("execv", null, ADDRESS, ADDRESS), arguments.getFirst(), argv);
        }
    }

    /**
     * Receives bytes, and the file descriptors that come with them, from a socket. One thread uses it. For as long as
     * it takes them in, the driver may have more descriptors than user code, which can have used up its own.
     */
    static final class Receiver {
        private static final int RLIMIT_NOFILE = 7;
        private static final short POLLIN = 1;
        private static final MethodHandle POLL = handle("poll", null, ADDRESS, JAVA_LONG, JAVA_INT);
        private static final MethodHandle SETRLIMIT = handle("setrlimit", null, JAVA_INT, ADDRESS);

        private final int fd;
        private final MemorySegment readable;
        private final MemorySegment usual;
        private final MemorySegment more;
        private final MemorySegment buffer;
        private final MemorySegment control;
        private final MemorySegment message;

        Receiver(int fd, int size) throws IOException {
            this.fd = fd;
            Arena arena = Arena.global();
            readable = arena.allocate(8, 4);
            readable.set(JAVA_INT, 0, fd);
            readable.set(JAVA_SHORT, 4, POLLIN);
            usual = arena.allocate(16, 8);
            call("getrlimit", handle("getrlimit", null, JAVA_INT, ADDRESS), RLIMIT_NOFILE, usual);
            more = arena.allocate(16, 8);
            more.set(JAVA_LONG, 0, usual.get(JAVA_LONG, 8));
            more.set(JAVA_LONG, 8, usual.get(JAVA_LONG, 8));
            buffer = arena.allocate(size);
            control = arena.allocate(CONTROL_SIZE, 8);
            message = arena.allocate(MSGHDR_SIZE, 8);
            MemorySegment vector = arena.allocate(16, 8);
            vector.set(ADDRESS, 0, buffer);
            vector.set(JAVA_LONG, 8, size);
            message.set(ADDRESS, 16, vector);
            message.set(JAVA_LONG, 24, 1);
            message.set(ADDRESS, 32, control);
        }

        /** Waits for bytes and returns them, none at the end. What file descriptors came is added to fds. */
        byte[] receive(List<Integer> fds) throws IOException {
            retry("poll", POLL, readable, 1L, -1);
            message.set(JAVA_LONG, 40, CONTROL_SIZE);
            call("setrlimit", SETRLIMIT, RLIMIT_NOFILE, more);
            int size = retry("recvmsg", RECVMSG, fd, message, MSG_CMSG_CLOEXEC);
            call("setrlimit", SETRLIMIT, RLIMIT_NOFILE, usual);
            long end = message.get(JAVA_LONG, 40);
            for (long at = 0; at + CMSGHDR_SIZE <= end; ) {
                long length = control.get(JAVA_LONG, at);
                if (control.get(JAVA_INT, at + 8) == SOL_SOCKET && control.get(JAVA_INT, at + 12) == SCM_RIGHTS) {
                    for (long item = at + CMSGHDR_SIZE; item + 4 <= at + length; item += 4) {
                        fds.add(control.get(JAVA_INT, item));
                    }
                }
                at += Math.max(length + 7 & -8, CMSGHDR_SIZE);
            }
            return buffer.asSlice(0, size).toArray(JAVA_BYTE);
        }

        private static int retry(String name, MethodHandle handle, Object... arguments) throws IOException {
            while (true) {
                try {
                    return call(name, handle, arguments);
                } catch (Failure e) {
                    if (e.errno != EINTR) {
                        throw e;
                    }
                }
            }
        }
    }
}
