package cubby.driver;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The working directory. Java takes in its own when it starts, so to change it means to start anew. */
final class Directory {
    private static final Path HOME = Path.of("/home/user");

    private final Path current = Path.of(System.getProperty("user.dir"));

    /** Returns the directory that is meant, which is made if it is missing under the home directory. */
    Path find(String cwd) throws IOException {
        Path path = HOME.resolve(cwd.isEmpty() ? "." : cwd).normalize();
        try {
            if (path.startsWith(HOME) && !path.equals(HOME)) {
                Files.createDirectories(path);
            }
        } catch (FileAlreadyExistsException e) {
            throw new IOException("not a directory: " + path);
        } catch (FileSystemException e) {
            String reason = e.getReason() == null ? "cannot be made" : e.getReason().toLowerCase();
            throw new IOException(reason + ": " + path);
        }
        return path;
    }

    boolean isCurrent(Path path) {
        return path.equals(current);
    }

    /**
     * Starts this program anew in a directory, with the same process id and channel, and hands it a text for its
     * argument. It returns only to throw that the directory cannot be entered.
     */
    void startAnewIn(Path path, String text, Channel channel) throws IOException {
        try {
            Libc.chdir(path.toString());
        } catch (Libc.Failure e) {
            throw new IOException(e.getMessage().replace("chdir: ", "") + ": " + path);
        }
        try {
            int file = Libc.memfd("setup");
            Files.writeString(Path.of("/proc/self/fd/" + file), text);
            String command = Files.readString(Path.of("/proc/self/cmdline"));
            List<String> arguments = new ArrayList<>(Arrays.asList(command.split("\0")));
            arguments.add(Integer.toString(file));
            Libc.setCloseOnExec(Channel.FD, false);
            Libc.execv(arguments);
        } catch (IOException e) {
            channel.die("start anew in " + path + ": " + e.getMessage());
        }
    }

    /** Returns the text that this program was handed by the one that it took the place of. */
    static String handed(String argument) throws IOException {
        String text = new String(Files.readAllBytes(Path.of("/proc/self/fd/" + argument)), StandardCharsets.UTF_8);
        Libc.close(Integer.parseInt(argument));
        return text;
    }
}
