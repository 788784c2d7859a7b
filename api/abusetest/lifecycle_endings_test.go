//go:build integration

package abusetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestEndings: each way in which an execution can end is told by its name, once, with what was printed until then, and
// with the truth about the variables.
func TestEndings(t *testing.T) {
	a := newArena(t, startServer(t, "--memory", "256MiB"))
	const hold = "print('partial', flush=True)\nimport time; time.sleep(100)"
	for _, c := range []struct {
		name, code             string
		timeout                int64
		act                    func(*testing.T) // once the code has printed
		ending, errName, state string
		says                   string
	}{
		{name: "ok", code: "print('partial')", ending: "ok", state: "preserved"},
		{name: "error", code: "print('partial'); 1/0", ending: "error", errName: "ZeroDivisionError", state: "preserved"},
		{name: "timeout of a loop", code: "print('partial')\nwhile True: pass", timeout: 2000, ending: "timeout", errName: "TimeoutError", state: "preserved"},
		{name: "timeout with SIGINT ignored", code: "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('partial')\nwhile True: pass", timeout: 2000, ending: "timeout", errName: "TimeoutError", state: "lost", says: "killed"},
		{name: "timeout inside of C", code: "import itertools\nprint('partial')\nsum(itertools.repeat(0))", timeout: 2000, ending: "timeout", errName: "TimeoutError", state: "lost", says: "killed"},
		{name: "interrupted", code: hold, act: func(t *testing.T) { a.interrupt(t, a.attacked) }, ending: "interrupted", errName: "KeyboardInterrupt", state: "preserved"},
		{name: "oom", code: "print('partial', flush=True)\nhog = []\nwhile True: hog.append(bytearray(10**7))", ending: "oom", errName: "OutOfMemoryError", state: "lost", says: "out of memory"},
		{name: "crashed by _exit", code: "print('partial')\nimport os, time; time.sleep(1); os._exit(0)", ending: "crashed", errName: "KernelDied", state: "lost", says: "exit status 0"},
		{name: "crashed by a fault", code: "print('partial')\nimport ctypes, time; time.sleep(1); ctypes.string_at(0)", ending: "crashed", errName: "KernelDied", state: "lost", says: "segmentation fault"},
		{name: "not crashed by kill -9 1", code: "print('partial')\nimport os\nos.kill(1, 9)", ending: "error", errName: "PermissionError", state: "preserved"},
		{name: "restarted", code: hold, act: func(t *testing.T) { a.restart(t, a.attacked) }, ending: "restarted", errName: "ContextRestarted", state: "lost"},
		{name: "removed", code: hold, act: func(t *testing.T) { a.remove(t, a.attacked) }, ending: "removed", errName: "ContextRemoved", state: "lost"},
		{name: "lost by docker rm", code: hold, act: func(t *testing.T) {
			require.NoError(t, a.docker.ContainerRemove(t.Context(), a.box.id, container.RemoveOptions{Force: true}))
		}, ending: "lost", errName: "ContextLost", state: "lost"},
		{name: "lost by docker kill", code: hold, act: func(t *testing.T) {
			require.NoError(t, a.docker.ContainerKill(t.Context(), a.box.id, "KILL"))
		}, ending: "lost", errName: "ContextLost", state: "lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.again(t)
			stop := a.watch(t)
			st := a.begin(t, a.attacked, c.code, wire.Execute{TimeoutMS: c.timeout})
			waiting := a.begin(t, a.attacked, "'ran'")
			if c.act != nil {
				st.until(t, func(o outcome) bool { return o.stdout != "" })
				c.act(t)
			}
			got := st.wait(t)
			t.Logf("ended %s (%s) after %v: %s: %s", got.ending, got.state, got.took, got.errName, got.errValue)
			require.Equal(t, c.ending, got.ending, "%+v", got)
			require.Equal(t, c.state, got.state)
			require.Equal(t, c.errName, got.errName)
			require.Contains(t, got.errValue, c.says)
			require.Equal(t, "partial\n", got.stdout)
			a.requireQueued(t, got, waiting.wait(t))
			if c.ending == "removed" {
				a.attacked = a.create(t)
				return
			}
			a.requireNext(t, got)
			stop()
		})
	}
}

// TestBoundsEndExecutions: an execution that writes more than it may, to its output or to the workspace, is ended by name;
// what it wrote until then is delivered, and its variables are kept.
func TestBoundsEndExecutions(t *testing.T) {
	a := newArena(t, startServer(t, "--workspace-bytes", "64MiB"))
	for _, c := range []struct {
		name, code      string
		limit           int64
		ending, errName string
	}{
		{"B1 output_limit of lines", "import itertools\nfor i in itertools.count(): print(i)", 1 << 20, "output_limit", "OutputLimit"},
		{"B1 output_limit of a shell", "import os\nos.system('i=0; while :; do echo $i; i=$((i+1)); done')", 1 << 16, "output_limit", "OutputLimit"},
		{"B22 output_limit of results", "while True: display('x' * 1000)", 1 << 16, "output_limit", "OutputLimit"},
		{"B22 just under the limit", "print('x' * 65_000)", 1 << 16, "ok", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := a.watch(t)
			st := a.begin(t, a.attacked, c.code, wire.Execute{MaxOutputBytes: c.limit, TimeoutMS: 60_000})
			if strings.HasPrefix(c.name, "B1 ") {
				require.Positive(t, countLines(t, st))
			} else {
				st.wait(t)
			}
			require.Equal(t, c.ending, st.got.ending, "%+v", st.got)
			require.Equal(t, c.errName, st.got.errName)
			require.Equal(t, "preserved", st.got.state)
			require.Zero(t, st.got.gaps)
			a.settle(t, st.got)
			stop()
		})
	}
	t.Run("disk_full", func(t *testing.T) {
		got := a.run(t, a.attacked, "print('partial')\nf = open('/home/user/big', 'wb')\nwhile True: f.write(b'x' * 10**6); f.flush()", wire.Execute{TimeoutMS: 100_000})
		require.Equal(t, "disk_full", got.ending, "%+v", got)
		require.Equal(t, "DiskFull", got.errName)
		require.Equal(t, "partial\n", got.stdout)
		require.Equal(t, "preserved", got.state)
		a.run(t, a.attacked, "import os; f.close(); os.remove('/home/user/big')")
		require.Equal(t, "42", a.run(t, a.attacked, "x + 1").text)
	})
}

// requireQueued holds what becomes of an execution that waits behind one: it runs where the kernel lives or is replaced
// on purpose, and shares the ending of a kernel that dies, unrun.
func (a *arena) requireQueued(t *testing.T, before, queued outcome) {
	t.Helper()
	switch {
	case before.state == "preserved" && before.ending == "interrupted": // all of a context are
		require.Equal(t, "interrupted", queued.ending, "%+v", queued)
	case before.state == "preserved":
		require.Equal(t, "ok", queued.ending, "%+v", queued)
		require.Equal(t, "ran", queued.text)
		return
	default:
		require.Equal(t, before.ending, queued.ending, "%+v", queued)
	}
	require.Empty(t, queued.text, "it was not run")
}

// requireNext holds that the next execution runs, in the generation that the ending told.
func (a *arena) requireNext(t *testing.T, before outcome) {
	t.Helper()
	next := a.run(t, a.attacked, "[x]")
	if before.state == "preserved" {
		require.Equal(t, "[41]", next.text, "%+v", next)
		require.Equal(t, before.generation, next.generation)
		return
	}
	require.Equal(t, "NameError", next.errName, "a loss that was told is not told again: %+v", next)
	require.Equal(t, before.generation+1, next.generation)
	require.Equal(t, "2", a.run(t, a.attacked, "1 + 1").text)
}

// TestALossIsTold: a context whose container goes while nothing runs does not come back silently.
func TestALossIsTold(t *testing.T) {
	a := newArena(t, startServer(t))
	for name, act := range map[string]func(*testing.T){
		"docker rm": func(t *testing.T) {
			require.NoError(t, a.docker.ContainerRemove(t.Context(), a.box.id, container.RemoveOptions{Force: true}))
		},
		"docker stop": func(t *testing.T) {
			at := 0
			require.NoError(t, a.docker.ContainerStop(t.Context(), a.box.id, container.StopOptions{Timeout: &at}))
		},
		"the kernel's own end": func(t *testing.T) {
			require.Equal(t, "ok", a.run(t, a.attacked, "import os, threading; threading.Timer(0.2, os._exit, [3]).start()").ending)
			require.Eventually(t, func() bool {
				return !slices.ContainsFunc(a.box.processes(t), func(p process) bool { return strings.HasPrefix(p.name, "python") })
			}, patience, probeEvery)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a.again(t)
			generation := a.detail(t, a.attacked).Generation
			stop := a.watch(t)
			act(t)
			told := a.run(t, a.attacked, "'ran'")
			require.Contains(t, []string{"lost", "crashed"}, told.ending, "%+v", told)
			require.Equal(t, "lost", told.state)
			require.Empty(t, told.text, "it was not run")
			next := a.run(t, a.attacked, "x")
			require.Equal(t, "NameError", next.errName, "%+v", next)
			require.Equal(t, generation+1, next.generation)
			stop()
		})
	}
}
