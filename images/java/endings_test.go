//go:build integration

package java

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestInterrupt(t *testing.T) {
	c := boot(t)
	c.do("int kept = 41;")
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
			c.t = t
			r := c.interrupt(i.code)
			require.Equal(t, kernel.EndingInterrupted, r.done.Ending, "%+v", r.done)
			require.Equal(t, kernel.StatePreserved, r.done.State)
			require.Equal(t, "InterruptedException: the execution was interrupted", r.want().error)
			require.NotContains(t, r.out, "not reached")
			require.Equal(t, want{main: "42"}, c.do("kept + 1").want())
		})
	}
	t.Run("who catches it ends well", func(t *testing.T) {
		c.t = t
		r := c.interrupt("try { Thread.sleep(600_000); } catch (InterruptedException e) {}\n\"caught\"")
		require.Equal(t, kernel.EndingInterrupted, r.done.Ending, "what follows is not run")
	})
	t.Run("threads of earlier executions live on", func(t *testing.T) {
		c.t = t
		c.do("volatile long ticks = 0;\nnew Thread(() -> { while (true) { ticks++; Thread.onSpinWait(); } }).start();")
		c.interrupt("while (true) {}")
		require.Equal(t, "true", c.do("long before = ticks; Thread.sleep(300); ticks > before").want().main)
	})
}

func TestCodeThatCannotBeInterruptedIsKilled(t *testing.T) {
	c := boot(t)
	c.do(`Object o = new Object();
void hold() { synchronized (o) { try { Thread.sleep(600_000); } catch (InterruptedException e) {} } }
new Thread(() -> hold()).start();`)
	r := c.interrupt("hold();")
	require.Equal(t, kernel.EndingInterrupted, r.done.Ending)
	require.Equal(t, kernel.StateLost, r.done.State)
	require.Equal(t, want{main: "2"}, c.do("1 + 1").want())
}

func TestHeapThatIsFullIsAnError(t *testing.T) {
	c := boot(t)
	r := c.do("var l = new ArrayList<byte[]>();\nwhile (true) l.add(new byte[10_000_000]);")
	require.Equal(t, "OutOfMemoryError: Java heap space", r.want().error)
	require.Equal(t, want{}, c.do("l = null;").want())
	require.Equal(t, want{main: "100000000"}, c.do("new byte[100_000_000].length").want())
}

func TestOutputOfThreadsBelongsToTheirExecution(t *testing.T) {
	c := boot(t)
	c.do(`var go = new CountDownLatch(1);
var said = new CountDownLatch(3);
void say(String text) { try { go.await(); } catch (InterruptedException e) {} System.out.println(text); said.countDown(); }
new Thread(() -> say("thread")).start();
new Thread(() -> new Thread(() -> say("thread of a thread")).start()).start();
Thread.startVirtualThread(() -> say("virtual thread"));`)
	require.Equal(t, want{out: "mine\n"}, c.do("go.countDown(); said.await(); System.out.println(\"mine\");").want())
}

func TestPipesOfFinishedExecutionsAreBounded(t *testing.T) {
	c := boot(t)
	c.do("var stop = new CountDownLatch(1);")
	for range 70 {
		c.do("new Thread(() -> { try { stop.await(); } catch (InterruptedException e) {} System.out.println(1); }).start();")
	}
	r := c.do("stop.countDown(); Thread.sleep(200); new File(\"/proc/self/fd\").list().length < 2 * 64 + 30")
	require.Equal(t, want{main: "true"}, r.want())
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
			c.t = t
			r := c.do(s.code)
			require.Equal(t, kernel.StatePreserved, r.done.State, "%+v", r.done)
			require.Equal(t, want{out: "o\n", err: "e\n", main: "2"}, c.do("System.out.println(\"o\"); System.err.println(\"e\"); 1 + 1").want())
		})
	}
}

func TestDirectories(t *testing.T) {
	cc, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "java", Cwd: "/tmp", Env: map[string]string{"A": "é=\"'\n"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, world.Remove(context.Background(), cc.ID)) })
	c := &cell{t: t, id: cc.ID}
	require.Equal(t, "/tmp é=\"'\n", c.do(`new File("").getAbsolutePath() + " " + System.getenv("A")`).want().main)
	c.do(`Files.writeString(Path.of("x"), "y")`)
	require.Equal(t, want{out: "y"}, c.do(`new ProcessBuilder("cat", "/tmp/x").inheritIO().start().waitFor(); null`).want())
	_, err = world.Create(t.Context(), orchestrator.CreateRequest{Language: "java", Cwd: "/etc/hostname"})
	require.ErrorContains(t, err, "not a directory: /etc/hostname")
}
