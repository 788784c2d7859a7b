//go:build integration

package abusetest

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// soon is a deadline that comes before the code ends.
var soon = wire.Execute{TimeoutMS: 2000}

// TestBombs: processes and threads without end.
func TestBombs(t *testing.T) {
	s := startServer(t)
	t.Run("A1 a fork bomb of a shell is bounded", func(t *testing.T) {
		a := newArena(t, s)
		stop := a.box.sample(t)
		got := a.attack(t, "!:(){ :|:& };:\nimport time; time.sleep(60)", soon)
		require.Equal(t, "timeout", got.ending)
		stop().requireAtLimit(t)
	})
	t.Run("A2 a fork bomb of the kernel is bounded, and killed without a fork", func(t *testing.T) {
		a := newArena(t, s)
		stop := a.box.sample(t)
		got := a.attack(t, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", soon)
		require.Equal(t, "timeout", got.ending)
		stop().requireAtLimit(t)
		if got.state == "lost" {
			require.Eventually(t, func() bool { return a.box.isGone(t.Context()) }, patience, probeEvery)
		}
	})
	t.Run("A4 a thread bomb is an error of the code", func(t *testing.T) {
		a := newArena(t, s)
		stop := a.box.sample(t)
		got := a.attack(t, "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(999,)).start()")
		require.Equal(t, "error", got.ending)
		require.Equal(t, "RuntimeError", got.errName)
		require.Contains(t, got.errValue, "can't start new thread")
		stop().requireAtLimit(t)
		a.requireKept(t)
	})
}

// TestStubborn: code that no request ends.
func TestStubborn(t *testing.T) {
	s := startServer(t)
	stubborn := map[string]string{
		"A14 a loop in C":      "import itertools\nsum(itertools.repeat(0))",
		"A15 signals ignored":  "import signal\nfor s in (1, 2, 3, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
		"A16 a stopped kernel": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
		"A16 a stopped group":  "import os, signal\nos.kill(0, signal.SIGSTOP)",
	}
	for name, code := range stubborn {
		t.Run(name+" is killed at its deadline, which is said", func(t *testing.T) {
			a := newArena(t, s)
			got := a.attack(t, code, soon)
			require.Equal(t, "timeout", got.ending)
			require.Equal(t, "TimeoutError", got.errName)
			requireLost(t, a, got)
		})
	}
	for _, name := range []string{"A14 a loop in C", "A15 signals ignored"} {
		t.Run(name+" is killed after an interrupt, which is said", func(t *testing.T) {
			a := newArena(t, s)
			defer a.watch(t)()
			before := a.box.processorTime(t)
			st := a.begin(t, a.attacked, stubborn[name])
			require.Eventually(t, func() bool { return a.box.processorTime(t)-before > 300*time.Millisecond }, patience, probeEvery, "in the loop")
			a.interrupt(t, a.attacked)
			got := st.wait(t)
			a.settle(t, got)
			require.Equal(t, "interrupted", got.ending)
			require.Equal(t, "KeyboardInterrupt", got.errName)
			requireLost(t, a, got)
		})
	}
	t.Run("A16 the kernel was indeed stopped", func(t *testing.T) {
		a := newArena(t, s)
		kernel := a.box.kernel(t)
		st := a.begin(t, a.attacked, stubborn["A16 a stopped kernel"])
		require.Eventually(t, func() bool {
			p, ok := readProcess(procFile(kernel.pid, ""))
			return ok && p.state == "T"
		}, patience, probeEvery)
		a.interrupt(t, a.attacked)
		got := st.wait(t)
		a.settle(t, got)
		require.Equal(t, "interrupted", got.ending)
		require.NoDirExists(t, procFile(kernel.pid, ""))
	})
	t.Run("A13 spinning contexts end at their deadlines, with their variables", func(t *testing.T) {
		testSpinners(t, newArena(t, s))
	})
}

// requireLost holds that an outcome says that state is lost, and that the old container goes.
func requireLost(t *testing.T, a *arena, got outcome) {
	t.Helper()
	require.Equal(t, "lost", got.state)
	require.Contains(t, got.errValue, "variables are lost")
	require.Eventually(t, func() bool { return a.box.isGone(t.Context()) }, patience, probeEvery)
}

// testSpinners spins on as many contexts as there are cores; each has more to do than its share of the processors.
func testSpinners(t *testing.T, a *arena) {
	const spin = "import subprocess, sys\n" +
		"more = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(3)]\n" +
		"while True: pass"
	spinners := []string{a.attacked}
	for range min(runtime.NumCPU(), 4) - 1 {
		id := a.create(t)
		defer a.remove(t, id)
		require.Equal(t, "ok", a.run(t, id, "x = 41").ending)
		spinners = append(spinners, id)
	}
	stop := a.watch(t)
	before, began := a.box.processorTime(t), time.Now()
	streams := map[string]*stream{}
	for _, id := range spinners {
		streams[id] = a.begin(t, id, spin, soon)
	}
	for _, id := range spinners {
		got := streams[id].wait(t)
		t.Logf("a deadline of %d ms, the end after %v", soon.TimeoutMS, got.took)
		require.Equal(t, "timeout", got.ending)
		require.GreaterOrEqual(t, got.took, time.Duration(soon.TimeoutMS)*time.Millisecond)
		require.Equal(t, "preserved", got.state)
		require.Equal(t, "42", a.run(t, id, "x + 1").text)
	}
	used, passed := a.box.processorTime(t)-before, time.Since(began)
	stop()
	t.Logf("%v of one processor's %v", used, passed)
	require.Greater(t, used, 100*time.Millisecond, "control: it did spin")
	require.Less(t, used, passed+200*time.Millisecond, "four processes had one processor")
}

// TestDeaths: kernels that die of the code, and processes that nobody waits for.
func TestDeaths(t *testing.T) {
	s := startServer(t)
	t.Run("A17 recursion that uses up the memory ends truthfully", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", wire.Execute{TimeoutMS: 20_000})
		require.Contains(t, []string{"error", "oom", "crashed", "timeout"}, got.ending)
	})
	t.Run("A17 recursion that uses up the stack is a crash by its signal", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, overflow)
		require.Equal(t, "crashed", got.ending)
		require.Equal(t, "KernelDied", got.errName)
		require.Contains(t, got.errValue, "segmentation fault")
		requireLost(t, a, got)
	})
	t.Run("A18 orphans are reaped", func(t *testing.T) {
		a := newArena(t, s)
		zombies := func() (n int) {
			for _, p := range a.box.processes(t) {
				if p.state == "Z" {
					n++
				}
			}
			return n
		}
		got := a.run(t, a.attacked, "import os, time\nchild = os.fork()\nif child == 0: os._exit(0)")
		require.Equal(t, "ok", got.ending)
		require.Eventually(t, func() bool { return zombies() == 1 }, patience, probeEvery, "control: a zombie is seen")
		require.Equal(t, "ok", a.run(t, a.attacked, "os.waitpid(child, 0)").ending)

		for _, code := range []string{orphans, "!for i in $(seq 100); do (sleep 0.1 &); done"} {
			got := a.attack(t, code)
			require.Equal(t, "ok", got.ending, "%+v", got)
			require.Eventually(t, func() bool { return zombies() == 0 && len(a.box.processes(t)) < 10 }, patience, probeEvery)
		}
		require.Equal(t, strconv.Itoa(500), a.run(t, a.attacked, "made").text)
		a.requireKept(t)
	})
}

const (
	// overflow recurses in C, where no interpreter counts.
	overflow = `import ctypes
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
libc = ctypes.CDLL(None)
import sys, threading
sys.setrecursionlimit(10**9)
threading.stack_size(1 << 16)
@compare
def deeper(a, b):
    pair = (ctypes.c_int * 2)()
    libc.qsort(pair, 2, 4, deeper)
    return 0
t = threading.Thread(target=deeper, args=(None, None))
t.start(); t.join()`
	// orphans forks children that leave children of their own to PID 1.
	orphans = `made = 0
while made < 500:
    try:
        pid = os.fork()
    except BlockingIOError:
        continue
    if pid == 0:
        try:
            if os.fork() == 0: time.sleep(0.05)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    made += 1`
)
