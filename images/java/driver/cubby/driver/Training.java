package cubby.driver;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/**
 * A run that an image is built with: the JVM records what booting and the first cells need, so that a kernel finds it
 * in a file instead of working it out. File descriptor 3 may be anything that can be written to.
 */
final class Training {
    private static final List<String> CELLS = List.of(
        "1 + 1",
        "int x = 3; x * 2",
        "record Point(int x, int y) {}\nint twice(int n) { return 2 * n; }\nvar p = new Point(1, twice(2));\np",
        "import java.time.*;\nfor (int i = 0; i < 3; i++) { System.out.println(\"line \" + i); }",
        "List.of(3, 1, 2).stream().sorted().map(String::valueOf).collect(Collectors.joining(\",\"))",
        "System.out.printf(\"%d %s%n\", 1, \"a\"); Map.of(\"a\", 1)",
        "display(\"text/html\", \"<b>bold</b>\")",
        "throw new IllegalStateException(\"training\")",
        "undefined + 1",
        "int y = ");

    private Training() {}

    static void run(Kernel kernel) throws IOException, InterruptedException {
        for (String cell : CELLS) {
            List<Integer> fds = List.of(Libc.duplicate(1), Libc.duplicate(2));
            kernel.begin(cell, Map.of("CUBBY_TRAINING", "1"), fds).join();
        }
        System.exit(0);
    }
}
