package cubby.driver;

import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/** The driver's end of the socketpair. Frames may be sent from any thread; one thread receives. */
final class Channel {
    static final int FD = 3;
    private static final int READ_SIZE = 1 << 20;
    private static final int BROKEN = 70; // the exit status

    private final ReentrantLock writing = new ReentrantLock();
    private final FileOutputStream out = new FileOutputStream(Outputs.descriptor(FD));
    private final Libc.Receiver receiver = new Libc.Receiver(FD, READ_SIZE);
    private final ByteArrayOutputStream partial = new ByteArrayOutputStream(); // a line of which the end has not come
    private List<Integer> fds = new ArrayList<>();

    /** A frame, and the file descriptors that came with it. */
    record Request(Map<String, Object> frame, List<Integer> fds) {
        String text(String name) {
            return frame.get(name) instanceof String text ? text : "";
        }

        @SuppressWarnings("unchecked") // names and strings, by the protocol
        Map<String, String> env() {
            return frame.get("env") instanceof Map<?, ?> map ? (Map<String, String>) map : Map.of();
        }
    }

    Channel() throws IOException {
        Libc.setCloseOnExec(FD, true);
    }

    /** Writes one frame. A supervisor that cannot be reached ends the process. */
    void send(Map<String, Object> frame) {
        byte[] line = (Json.write(frame) + "\n").getBytes(StandardCharsets.UTF_8);
        writing.lock();
        try {
            out.write(line);
        } catch (IOException e) {
            die("write to the supervisor: " + e.getMessage());
        } finally {
            writing.unlock();
        }
    }

    /** Waits for requests and returns them. The end of the channel ends the process. */
    @SuppressWarnings("unchecked") // frames are objects, by the protocol
    List<Request> receive() throws IOException {
        List<Request> requests = new ArrayList<>();
        while (requests.isEmpty()) {
            byte[] data = receiver.receive(fds);
            if (data.length == 0) {
                Runtime.getRuntime().halt(0); // the supervisor is gone, and with it the container
            }
            int start = 0;
            for (int i = 0; i < data.length; i++) {
                if (data[i] == '\n') {
                    partial.write(data, start, i - start);
                    String line = partial.toString(StandardCharsets.UTF_8);
                    requests.add(new Request((Map<String, Object>) Json.parse(line), fds));
                    fds = new ArrayList<>();
                    partial.reset();
                    start = i + 1;
                }
            }
            partial.write(data, start, data.length - start);
        }
        return requests;
    }

    /** Ends the process, which the supervisor reports as the death of this kernel, and its reason. */
    void die(String reason) {
        try {
            String line = Json.write(Map.of("type", "dying", "value", "java driver: " + reason)) + "\n";
            out.write(line.getBytes(StandardCharsets.UTF_8));
        } catch (Throwable e) {
            // nobody can be told
        } finally {
            Runtime.getRuntime().halt(BROKEN);
        }
    }
}
