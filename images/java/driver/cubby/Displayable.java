package cubby;

import java.util.Map;

/** A value that says itself how it is shown. */
public interface Displayable {
    /**
     * Returns the value in several forms, of which whoever shows it takes the best: MIME types, each with a String, a
     * byte[], or for application/json with maps, lists, numbers and booleans.
     */
    Map<String, ?> bundle();
}
