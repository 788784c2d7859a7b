package cubby.driver;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Map;

/** Environment variables: what System.getenv says and children have, and system properties of the same names. */
final class Environment {
    private final Map<String, String> variables = writable();

    /** What variables were before they were set; null where there was none. */
    record Before(Map<String, String> variables, Map<String, String> properties) {}

    /** Sets variables, all or none, and returns what they were before. */
    Before set(Map<String, String> changes) throws IOException {
        Before before = new Before(new HashMap<>(), new HashMap<>());
        for (Map.Entry<String, String> change : changes.entrySet()) {
            String name = change.getKey();
            try {
                before.variables.put(name, variables.get(name));
                before.properties.put(name, System.getProperty(name));
                put(name, change.getValue(), change.getValue());
            } catch (IllegalArgumentException | IOException e) {
                before.variables.remove(name);
                before.properties.remove(name);
                restore(before);
                throw new IOException("environment variable " + name + ": " + e.getMessage());
            }
        }
        return before;
    }

    /** Sets variables back to what they were. */
    void restore(Before before) throws IOException {
        for (String name : before.variables.keySet()) {
            put(name, before.variables.get(name), before.properties.get(name));
        }
    }

    private void put(String name, String value, String property) throws IOException {
        if (value == null) {
            variables.remove(name);
            Libc.unsetenv(name);
        } else {
            if (name.isEmpty()) {
                throw new IllegalArgumentException("the name is empty");
            }
            variables.put(name, value);
            Libc.setenv(name, value);
        }
        if (property == null) {
            System.clearProperty(name);
        } else {
            System.setProperty(name, property);
        }
    }

    /** Returns the map behind System.getenv. The C library's environment, which children have, is another. */
    @SuppressWarnings("unchecked") // the JDK's own class
    private static Map<String, String> writable() {
        try {
            Field field = Class.forName("java.lang.ProcessEnvironment").getDeclaredField("theEnvironment");
            field.setAccessible(true);
            Class<?> type = Class.forName("java.lang.ProcessEnvironment$StringEnvironment");
            Constructor<?> view = type.getDeclaredConstructor(Map.class);
            view.setAccessible(true);
            return (Map<String, String>) view.newInstance(field.get(null));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("this JDK's environment is not the one that the driver knows", e);
        }
    }
}
