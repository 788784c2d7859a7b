package cubby;

import cubby.driver.Kernel;
import cubby.driver.Values;
import java.util.Map;

/** What cells can call to show more than the value of their last expression. They import it all. */
public final class Display {
    private Display() {}

    /** Shows a value as the value of a last expression is shown. */
    public static void display(Object value) {
        Kernel.publish(Values.bundle(value), false);
    }

    /** Shows data of a MIME type: a String, a byte[], or for application/json maps, lists, numbers and booleans. */
    public static void display(String mime, Object data) {
        Kernel.publish(Values.bundle((Displayable) () -> Map.of(mime, data)), false);
    }
}
