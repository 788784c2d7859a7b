package cubby.driver;

import java.lang.reflect.Field;
import java.util.Map;
import jdk.jshell.JShell;
import jdk.jshell.Snippet;

/** The compiler of a JShell, which is used again and again. */
final class Compiler {
    private Compiler() {}

    /** Reports whether a snippet exceeds a limit of class files, as a string of more than 65,535 bytes does. */
    static boolean exceedsLimits(JShell jshell, Snippet snippet) {
        return jshell.diagnostics(snippet).anyMatch(diag -> diag.getCode().startsWith("compiler.err.limit."));
    }

    /**
     * Has a JShell take a new compiler. javac notices some limits only while it writes a class, keeps what was too large
     * for that, and then refuses all that comes after. There is no way to say so but to empty JShell's pool of them.
     */
    static void renew(JShell jshell) {
        try {
            ((Map<?, ?>) field(field(field(jshell, "taskFactory"), "javacTaskPool"), "options2Contexts")).clear();
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("this JDK's JShell keeps its compilers elsewhere", e);
        }
    }

    private static Object field(Object object, String name) throws ReflectiveOperationException {
        Field field = object.getClass().getDeclaredField(name);
        field.setAccessible(true);
        return field.get(object);
    }
}
