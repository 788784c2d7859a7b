package cubby.driver;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.concurrent.Callable;
import jdk.jshell.execution.LocalExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;

/**
 * What JShell has user code run by: in this process, on the thread that evaluates. The local engine that it extends
 * makes user code ask in every loop whether it is to stop; who is to be stopped is Outputs' to say.
 */
final class Engine extends LocalExecutionControl implements ExecutionControlProvider {
    private volatile Outputs.Execution execution;
    private Object value;
    private Throwable thrown;
    private boolean refused; // to run something, since the execution was interrupted before

    /** Makes an execution the one whose code runs from now on. */
    void begin(Outputs.Execution execution) {
        this.execution = execution;
    }

    /** Interrupts the execution: its code, if it runs just now, else what would run next. */
    void interrupt(Outputs.Execution execution) {
        execution.lock.lock();
        try {
            execution.interrupted = true;
            Outputs.stopping = true;
            if (execution.user != null) {
                execution.user.interrupt();
            }
        } finally {
            execution.lock.unlock();
        }
    }

    /**
     * Calls what may be user code: only there is a thread interrupted, since the compiler, which reads its files
     * through channels that an interrupt closes for good, would never work again.
     */
    <T> T asUser(Callable<T> call) throws Exception {
        Outputs.Execution here = execution;
        here.lock.lock();
        try {
            if (here.interrupted) {
                refused = true;
                throw new StoppedException();
            }
            here.user = Thread.currentThread();
        } finally {
            here.lock.unlock();
        }
        try {
            return call.call();
        } finally {
            here.lock.lock();
            here.user = null;
            Thread.interrupted();
            here.lock.unlock();
        }
    }

    @Override
    protected String invoke(Method method) throws Exception {
        try {
            value = asUser(() -> method.invoke(null));
            return "";
        } catch (InvocationTargetException e) {
            thrown = e.getCause();
            if (thrown instanceof Outputs.Stop) {
                throw new StoppedException();
            }
            throw e;
        }
    }

    /** Returns the value of what ran last, and forgets it. */
    Object takeValue() {
        Object taken = value;
        value = null;
        return taken;
    }

    /** Reports whether it was refused to run something of an interrupted execution, and forgets it. */
    boolean takeRefusal() {
        boolean taken = refused;
        refused = false;
        return taken;
    }

    /** Returns what was thrown by what ran last, and forgets it. */
    Throwable takeThrown() {
        Throwable taken = thrown;
        thrown = null;
        return taken;
    }

    @Override
    public String name() {
        return "cubby";
    }

    @Override
    public ExecutionControl generate(ExecutionEnv env, Map<String, String> parameters) {
        return this;
    }
}
