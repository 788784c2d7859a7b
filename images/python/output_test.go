//go:build integration

package python

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOutputIsInOrder(t *testing.T) {
	d := boot(t)
	for _, c := range []struct{ name, code, out string }{
		{"print and commands", "import os\nprint('a')\nos.system('echo b')\nprint('c', end=' ')\nos.system('echo d')\nprint('e')", "a\nb\nc d\ne\n"},
		{"C, file descriptors, bytes and children", `import ctypes, os, subprocess, sys
c = ctypes.CDLL(None)
print('a')
c.printf(b'b\n')
os.write(1, b'c\n')
print('d', end=' ')
os.system('echo e')
sys.stdout.buffer.write(b'f ')
subprocess.run(['echo', 'g'])
c.puts(b'h')
print('i')`, "a\nb\nc\nd e\nf g\nh\ni\n"},
		{"C without a line's end belongs to its cell", "c.printf(b'half')\nNone", "half"},
		{"the next cell", "None", ""},
		{"a fork does not double what is buffered", "print('once', end='')\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)\nprint()", "once\n"},
		{"results come after what was printed before", "print('p', end='')\ndisplay(1)", "p"},
		{"10 000 lines", "for i in range(10_000): print(i)", lines(10_000)},
		{"C that holds the interpreter's lock", "ctypes.PyDLL(None).printf(b'1' * 100_000)\nNone", strings.Repeat("1", 100_000)},
		{"a stream of the user's on ours", "import io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint('w')", "w\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.t = t
			r := d.do(c.code)
			require.Equal(t, c.out, r.out())
			require.Empty(t, r.errors)
			require.Empty(t, r.other)
		})
	}
	t.Run("print is one write", func(t *testing.T) {
		d.t = t
		require.Equal(t, []string{"hello\n"}, d.do(`print("hello")`).stdout)
	})
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func TestLateOutputBelongsToItsExecution(t *testing.T) {
	for _, c := range []struct{ name, late string }{
		{"thread", "import threading\nthreading.Timer(0.2, lambda: print('late')).start()"},
		{"thread of a thread", "import threading\nthreading.Thread(target=lambda: threading.Timer(0.2, print, ['late']).start()).start()"},
		{"plain thread", "import _thread, time\n_thread.start_new_thread(lambda: (time.sleep(0.2), print('late')), ())\nNone"},
		{"task", "import asyncio\nasync def f():\n    await asyncio.sleep(0.2); print('late')\nt = asyncio.create_task(f())"},
		{"callback", "import asyncio\nasyncio.get_running_loop().call_later(0.2, print, 'late')\nNone"},
		{"left-over process", "import subprocess\np = subprocess.Popen('sleep 0.2; echo late', shell=True)"},
		{"fork", "import os, time\nif os.fork() == 0:\n    time.sleep(0.2); print('late'); os._exit(0)"},
		{"logging", "import logging, sys, threading\nlogging.basicConfig(stream=sys.stdout, format='%(message)s')\nthreading.Timer(0.2, logging.warning, ['late']).start()"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := boot(t)
			require.Equal(t, want{}, d.do(c.late).want())
			r := d.do("import time, asyncio\nawait asyncio.sleep(0.5)\nprint('mine')")
			require.Equal(t, want{out: "mine\n"}, r.want())
			require.Len(t, r.other, 1)
			require.Equal(t, event{Type: "stdout", N: 1, Text: "late\n"}, r.other[0])
		})
	}
	t.Run("a pool's thread prints for whoever submitted", func(t *testing.T) {
		d := boot(t)
		d.do("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\npool.submit(print, 'a').result()")
		require.Equal(t, want{out: "b\n"}, d.do("pool.submit(print, 'b').result()").want())
	})
	t.Run("results of a finished execution are dropped", func(t *testing.T) {
		d := boot(t)
		d.do("import threading\nthreading.Timer(0.2, display, ['late']).start()")
		require.Equal(t, want{}, d.do("import asyncio\nawait asyncio.sleep(0.5)").want())
	})
}

func TestPipesOfFinishedExecutionsAreBounded(t *testing.T) {
	d := boot(t)
	d.do("import threading\nstop = threading.Event()\ndef say():\n    stop.wait(); print('late')")
	for range 70 {
		d.do("threading.Thread(target=say).start()")
	}
	fds := d.do("import os\nprint(len(os.listdir('/proc/self/fd')))").out()
	var open int
	_, err := fmt.Sscan(fds, &open)
	require.NoError(t, err)
	require.Less(t, open, 2*64+20)
	r := d.do("stop.set(); import time; time.sleep(0.3)")
	require.Len(t, r.other, 62) // 64 less this execution and the one before; nobody has died of the loss of the others
	require.Equal(t, want{}, r.want())
}

func TestForkedChildAnswersNothing(t *testing.T) {
	d := boot(t)
	r := d.do("import os\npid = os.fork()\nprint('child' if pid == 0 else 'parent')\n'value'")
	require.Equal(t, "'value'", r.mains())
	require.Equal(t, "0", d.do("os.waitpid(pid, 0)[1]").mains())
	r = d.do("pid = os.fork()\nif pid == 0: display('child'); 1/0\nos.waitpid(pid, 0)[1]")
	require.Equal(t, "256", r.mains())
	require.Empty(t, r.displays())
	require.Contains(t, r.err(), "ZeroDivisionError")
	require.Empty(t, r.errors)
}

func TestInterrupt(t *testing.T) {
	d := boot(t)
	for _, c := range []struct{ name, code string }{
		{"loop", "while True: pass"},
		{"sleep", "import time; time.sleep(60)"},
		{"await", "import asyncio; await asyncio.sleep(60)"},
		{"await of what never comes", "import asyncio; await asyncio.Future()"},
		{"await of several", "import asyncio; await asyncio.gather(asyncio.sleep(60), asyncio.sleep(60))"},
		{"task that blocks the loop", "import asyncio\nasync def f():\n    while True: pass\nt = asyncio.create_task(f())\nawait asyncio.sleep(60)"},
		{"lock", "import threading; l = threading.Lock(); l.acquire(); l.acquire()"},
		{"thread's end", "import threading, time; t = threading.Thread(target=time.sleep, args=(1,)); t.start(); t.join()"},
		{"command", "!sleep 60"},
		{"command whose output is taken", "x = !sleep 60\nimport time; time.sleep(60)"},
		{"os.system", "import os, time; os.system('sleep 60'); time.sleep(60)"},
		{"os.system of several commands", "import os, time; os.system('sleep 60; sleep 60'); time.sleep(60)"},
		{"subprocess", "import subprocess; subprocess.run(['sleep', '60'])"},
		{"child in a session of its own", "import subprocess; subprocess.run(['sleep', '60'], start_new_session=True)"},
		{"child that is deaf", "import subprocess; subprocess.run(['sh', '-c', 'trap \"\" INT; sleep 60'])"},
		{"read that blocks", "import os; os.read(os.pipe()[0], 1)"},
		{"socket", "import socket; ends = socket.socketpair(); ends[0].recv(1)"},
		{"queue", "import queue; queue.Queue().get()"},
		{"C that sleeps", "import ctypes, time; ctypes.CDLL(None).sleep(60); time.sleep(60)"},
		{"thread that an await waits for", "import asyncio, time; await asyncio.to_thread(time.sleep, 1); await asyncio.sleep(60)"},
		{"printing", "while True: print('x' * 100)"},
		{"displaying", "while True: display(1)"},
		{"repr", "class R:\n    def __repr__(self):\n        while True: pass\nR()"},
		{"handler of the user's from an earlier cell", "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, []); time.sleep(60)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.t = t
			d.do("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])")
			if strings.HasPrefix(c.code, "while True: ") {
				d.begin(c.code, nil)
				time.Sleep(200 * time.Millisecond)
				d.ask(map[string]any{"op": "interrupt"})
				require.Equal(t, "KeyboardInterrupt", d.finish().error())
				d.ping()
			} else {
				r := d.interrupt(c.code)
				require.Equal(t, "KeyboardInterrupt", r.error())
				require.NotContains(t, r.errors[0].Traceback, "/opt/cubby", "the driver's own frames say nothing")
			}
			require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
		})
	}
	t.Run("ignored when idle", func(t *testing.T) {
		d.t = t
		for range 20 {
			d.ask(map[string]any{"op": "interrupt"})
			d.ping()
			require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
		}
	})
	t.Run("one that comes before its execution", func(t *testing.T) {
		d.t = t
		for range 20 {
			d.begin("x = 1", nil)
			d.ask(map[string]any{"op": "interrupt"})
			r := d.finish()
			require.Contains(t, []string{"", "KeyboardInterrupt"}, r.error(), r.errors)
			d.ping()
			require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
		}
	})
	t.Run("one that comes before the first of endless code", func(t *testing.T) {
		d.t = t
		for i := range 200 {
			d.begin("while True: pass", nil)
			for d.next().Type != "started" {
				continue
			}
			time.Sleep(time.Duration(i) * 3 * time.Microsecond)
			d.ask(map[string]any{"op": "interrupt"})
			require.Equal(t, "KeyboardInterrupt", d.finish().error())
			d.ping()
		}
		require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
	})
	t.Run("one that is swallowed by a finalizer", func(t *testing.T) {
		d.t = t
		r := d.interrupt("import time\nclass F:\n    def __del__(self): time.sleep(60)\nF(); time.sleep(60)")
		require.Equal(t, "KeyboardInterrupt", r.error())
		require.Empty(t, r.errors[0].Value)
		require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
	})
	t.Run("one that comes as IPython begins to print a value", func(t *testing.T) {
		d.t = t
		r := d.do(`from IPython.lib import pretty
class Interrupted(pretty.GroupQueue):
    def enq(self, group):
        if group.depth == 2:
            raise KeyboardInterrupt
        super().enq(group)
pretty.GroupQueue = Interrupted
try:
    display(1)
    print("goes on")
finally:
    pretty.GroupQueue = Interrupted.__base__`)
		require.Equal(t, "KeyboardInterrupt", r.error(), r.errors)
		require.Empty(t, r.out())
	})
	t.Run("one that comes with its execution's beginning or end", func(t *testing.T) {
		d.t = t
		cells := []string{"1", "print(1)", "display(1)", "import asyncio; await asyncio.sleep(0.001)", "!true"}
		for i := range 500 {
			d.begin(cells[i%len(cells)], nil)
			for d.next().Type != "started" { // before which the supervisor sends none
				continue
			}
			time.Sleep(time.Duration(i) * 5 * time.Microsecond)
			d.ask(map[string]any{"op": "interrupt"})
			r := d.finish()
			require.Contains(t, []string{"", "KeyboardInterrupt"}, r.error(), r.errors)
			d.ping()
			require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
		}
	})
}
