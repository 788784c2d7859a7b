package REPL;

import cubby.driver.Outputs;

/** What JShell's local engine has every method and every loop of user code call. Its own stops threads of all ages. */
public final class $Cancel$ {
    private $Cancel$() {}

    /** Ends the thread if it belongs to an execution that was interrupted. */
    public static void stopCheck() {
        if (Outputs.stopping) {
            Outputs.stopCheck();
        }
    }
}
