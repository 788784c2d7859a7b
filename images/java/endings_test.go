//go:build integration

package java

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestInterrupt(t *testing.T) {
	c := boot(t)
	c.Do("int kept = 41;")
	for _, i := range []struct{ name, code string }{
		{"loop", "while (true) {}"},
		{"loop in a method of a class", "class L { void run() { for (;;) {} } }\nnew L().run();"},
		{"recursion", "int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\nfib(60)"},
		{"sleep", "Thread.sleep(600_000);"},
		{"sleep that is slept again", "while (true) try { Thread.sleep(600_000); } catch (InterruptedException e) {}"},
		{"queue", "new LinkedBlockingQueue<Integer>().take()"},
		{"future", "new CompletableFuture<Integer>().get()"},
		{"join", "var t = new Thread(() -> { while (true) {} }); t.start(); t.join(); Thread.sleep(600_000);"},
		{"child", `new ProcessBuilder("sleep", "600").start().waitFor(); Thread.sleep(600_000);`},
		{"parallel stream", "IntStream.range(0, 4).parallel().forEach(i -> { while (true) {} });"},
		{"stream", "IntStream.iterate(0, i -> i + 1).filter(i -> i < 0).findFirst();"},
		{"printing", `while (true) System.out.println("x".repeat(100));`},
		{"displaying", `while (true) display("x".repeat(4_000_000));`},
		{"data that is displayed", `display("application/json", new AbstractList<Integer>() {
	public int size() { return 1; }
	public Integer get(int i) { while (true) {} }
});`},
		{"text of the value", "new Object() { public String toString() { while (true) {} } }"},
		{"data of the value", `Displayable d = () -> Map.of("application/json", new AbstractList<Integer>() {
	public int size() { return 1; }
	public Integer get(int i) { try { Thread.sleep(600_000); } catch (InterruptedException e) { throw new RuntimeException(e); } return 1; }
});
d`},
		{"further statements", "Thread.sleep(600_000);\nSystem.out.println(\"not reached\");"},
	} {
		t.Run(i.name, func(t *testing.T) {
			c := c.In(t)
			r := interrupt(c, i.code)
			require.Equal(t, kernel.EndingInterrupted, r.Done.Ending, "%+v", r.Done)
			require.Equal(t, kernel.StatePreserved, r.Done.State)
			require.Equal(t, "InterruptedException: the execution was interrupted", r.Want().Error)
			require.NotContains(t, r.Out, "not reached")
			require.Equal(t, want{Main: "42"}, c.Do("kept + 1").Want())
		})
	}
	t.Run("who catches it ends well", func(t *testing.T) {
		c := c.In(t)
		r := interrupt(c, "try { Thread.sleep(600_000); } catch (InterruptedException e) {}\n\"caught\"")
		require.Equal(t, kernel.EndingInterrupted, r.Done.Ending, "what follows is not run")
	})
	t.Run("threads of earlier executions live on", func(t *testing.T) {
		c := c.In(t)
		c.Do("volatile long ticks = 0;\nnew Thread(() -> { while (true) { ticks++; Thread.onSpinWait(); } }).start();")
		interrupt(c, "while (true) {}")
		require.Equal(t, "true", c.Do("long before = ticks; Thread.sleep(300); ticks > before").Want().Main)
	})
}

func TestCodeThatCannotBeInterruptedIsKilled(t *testing.T) {
	c := boot(t)
	c.Do(`Object o = new Object();
void hold() { synchronized (o) { try { Thread.sleep(600_000); } catch (InterruptedException e) {} } }
new Thread(() -> hold()).start();`)
	r := interrupt(c, "hold();")
	require.Equal(t, kernel.EndingInterrupted, r.Done.Ending)
	require.Equal(t, kernel.StateLost, r.Done.State)
	require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
}

func TestHeapThatIsFullIsAnError(t *testing.T) {
	c := boot(t)
	r := c.Do("var l = new ArrayList<byte[]>();\nwhile (true) l.add(new byte[10_000_000]);")
	require.Equal(t, "OutOfMemoryError: Java heap space", r.Want().Error)
	require.Equal(t, want{}, c.Do("l = null;").Want())
	require.Equal(t, want{Main: "100000000"}, c.Do("new byte[100_000_000].length").Want())
}

func TestOutputOfThreadsBelongsToTheirExecution(t *testing.T) {
	c := boot(t)
	c.Do(`var go = new CountDownLatch(1);
var said = new CountDownLatch(3);
void say(String text) { try { go.await(); } catch (InterruptedException e) {} System.out.println(text); said.countDown(); }
new Thread(() -> say("thread")).start();
new Thread(() -> new Thread(() -> say("thread of a thread")).start()).start();
Thread.startVirtualThread(() -> say("virtual thread"));`)
	require.Equal(t, want{Out: "mine\n"}, c.Do("go.countDown(); said.await(); System.out.println(\"mine\");").Want())
}

func TestPipesOfFinishedExecutionsAreBounded(t *testing.T) {
	c := boot(t)
	c.Do("var stop = new CountDownLatch(1);")
	for range 70 {
		c.Do("new Thread(() -> { try { stop.await(); } catch (InterruptedException e) {} System.out.println(1); }).start();")
	}
	r := c.Do("stop.countDown(); Thread.sleep(200); new File(\"/proc/self/fd\").list().length < 2 * 64 + 30")
	require.Equal(t, want{Main: "true"}, r.Want())
}

// User code may break what is its own process, but the next execution runs.
func TestSabotageIsSurvived(t *testing.T) {
	c := boot(t)
	for _, s := range []struct{ name, code string }{
		{"1 and 2 closed", `new FileOutputStream(FileDescriptor.out).close(); new FileOutputStream(FileDescriptor.err).close();`},
		{"streams closed", "System.out.close(); System.err.close();"},
		{"streams gone", "System.setOut(null); System.setErr(null);"},
		{"input closed", "System.in.close();"},
		{"properties gone", "System.setProperties(new Properties());"},
		{"threads interrupted", "for (Thread t : Thread.getAllStackTraces().keySet()) t.interrupt();"},
		{"handler of uncaught exceptions", "Thread.setDefaultUncaughtExceptionHandler((t, e) -> { throw new Error(); });"},
		{"no class loader", "Thread.currentThread().setContextClassLoader(null);"},
		{"stream kept", "PrintStream kept = System.out;"},
		{"its lock held for ever", "new Thread(() -> { synchronized (kept) { try { Thread.sleep(600_000); } catch (Throwable e) {} } }).start();"},
		{"thread that only waits", "new Thread(() -> { while (true) try { Thread.sleep(1000); } catch (Throwable e) {} }).start();"},
		{"every descriptor used", "var used = new ArrayList<Object>(); try { while (true) used.add(new FileInputStream(\"/dev/null\")); } catch (IOException e) {}"},
		{"descriptors back", "used = null; System.gc();"},
		{"default locale and zone", "Locale.setDefault(Locale.GERMANY); TimeZone.setDefault(null);"},
		{"odd names", "int do_it$ = 1; class $JShell$ {} int display = 2; String String = null;"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := c.In(t)
			r := c.Do(s.code)
			require.Equal(t, kernel.StatePreserved, r.Done.State, "%+v", r.Done)
			require.Equal(t, want{Out: "o\n", Err: "e\n", Main: "2"}, c.Do("System.out.println(\"o\"); System.err.println(\"e\"); 1 + 1").Want())
		})
	}
}

func TestDirectories(t *testing.T) {
	c := world.Boot(t, orchestrator.CreateRequest{Language: "java", Cwd: "/tmp", Env: map[string]string{"A": "é=\"'\n"}})
	require.Equal(t, "/tmp é=\"'\n", c.Do(`new File("").getAbsolutePath() + " " + System.getenv("A")`).Want().Main)
	c.Do(`Files.writeString(Path.of("x"), "y")`)
	require.Equal(t, want{Out: "y"}, c.Do(`new ProcessBuilder("cat", "/tmp/x").inheritIO().start().waitFor(); null`).Want())
	_, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "java", Cwd: "/etc/hostname"})
	require.ErrorContains(t, err, "not a directory: /etc/hostname")
}
