package cubby.driver;

import java.lang.reflect.Field;

/** What a thread does not tell of itself. */
final class Threads {
    private static final Field HOLDER;
    private static final Field TASK;

    static {
        try {
            HOLDER = Thread.class.getDeclaredField("holder");
            TASK = HOLDER.getType().getDeclaredField("task");
            HOLDER.setAccessible(true);
            TASK.setAccessible(true);
        } catch (NoSuchFieldException e) {
            throw new IllegalStateException("this JDK's threads are not those that the driver knows", e);
        }
    }

    private Threads() {}

    /** Reports whether a thread is a worker of a thread pool, which runs what any execution submits. */
    static boolean isPoolWorker(Thread thread) {
        try {
            Object holder = thread.isVirtual() ? null : HOLDER.get(thread);
            Object task = holder == null ? null : TASK.get(holder);
            return task != null && task.getClass().getName().equals("java.util.concurrent.ThreadPoolExecutor$Worker");
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }
}
