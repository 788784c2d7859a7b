//go:build integration

package abusetest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestB14LateOutput: what is printed after an execution's end never comes in the next one's answer. The control is a mark
// in the workspace that says that it was printed.
func TestB14LateOutput(t *testing.T) {
	a := newArena(t, startServer(t))
	const say = "print('late'); print('late', file=__import__('sys').stderr); display('late'); open('said', 'w').close()"
	for name, code := range map[string]string{
		"a timer":                   "import threading\ndef f(): " + say + "\nthreading.Timer(1, f).start()",
		"a thread of a thread":      "import threading\ndef f(): " + say + "\nthreading.Thread(target=lambda: threading.Timer(1, f).start()).start()",
		"a plain thread":            "import _thread, time\ndef f(): time.sleep(1); " + say + "\n_thread.start_new_thread(f, ())\nNone",
		"a pool's thread":           "import time\nfrom concurrent.futures import ThreadPoolExecutor\ndef f(): time.sleep(1); " + say + "\npool = ThreadPoolExecutor(); pool.submit(f)\nNone",
		"a task":                    "import asyncio\nasync def f(): await asyncio.sleep(1); " + say + "\ntask = asyncio.create_task(f())",
		"a callback of the loop":    "import asyncio\ndef f(): " + say + "\nasyncio.get_running_loop().call_later(1, f)\nNone",
		"a child":                   "import subprocess\np = subprocess.Popen('sleep 1; echo late; echo late >&2; touch said', shell=True)",
		"a child of a shell":        "!(sleep 1; echo late; echo late >&2; touch said) &",
		"a daemon":                  "!setsid sh -c 'sleep 1; echo late; echo late >&2; touch said' &",
		"a fork":                    "import os, time\nif os.fork() == 0:\n    time.sleep(1); os.write(1, b'late'); " + say + "; os._exit(0)",
		"a process of a pool":       "import multiprocessing as m, time\ndef f(): time.sleep(1); " + say + "\nm.get_context('fork').Process(target=f).start()",
		"a log":                     "import logging, sys, threading\nlogging.basicConfig(stream=sys.stdout, force=True)\ndef f(): logging.error('late'); " + say + "\nthreading.Timer(1, f).start()",
		"a stream that was kept":    "import sys, threading\nkept = sys.stdout\ndef f(): kept.write('late'); kept.buffer.write(b'late'); kept.flush(); " + say + "\nthreading.Timer(1, f).start()",
		"a finalizer in a thread":   "import threading\nclass F:\n    def __del__(self): " + say + "\nf = F()\nthreading.Timer(1, lambda: globals().pop('f')).start()",
		"a hundred threads at once": "import threading\ndef f(): " + say + "\nfor i in range(100): threading.Timer(1, f).start()",
	} {
		t.Run(name, func(t *testing.T) {
			a.again(t)
			mark := strings.NewReplacer(" ", "-", "'", "").Replace(name) // of this row alone: some rows go on in the next ones
			got := a.attack(t, strings.ReplaceAll(code, "said", mark))
			require.Equal(t, "ok", got.ending, "%+v", got)
			require.NotContains(t, got.stdout, "late", "it was to be late")
			next := a.run(t, a.attacked, "import asyncio, os\nwhile not os.path.exists('"+mark+"'): await asyncio.sleep(0.01)\nawait asyncio.sleep(0.1)\nprint('mine')\n1 + 1")
			require.Equal(t, "ok", next.ending, "%+v", next)
			require.Equal(t, "mine\n", next.stdout)
			require.Empty(t, next.stderr)
			require.Equal(t, "2", next.text)
		})
	}
}

// TestB15BackgroundProcesses: the execution ends though what it started lives on, and ends with the container.
func TestB15BackgroundProcesses(t *testing.T) {
	a := newArena(t, startServer(t))
	start := func(t *testing.T) {
		t.Helper()
		got := a.attack(t, `import os, subprocess
subprocess.Popen(['sleep', '9999'], start_new_session=True)
os.system('nohup sleep 9999 >/dev/null 2>&1 & setsid sleep 9999 & (sleep 9999 &)')
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execvp('sleep', ['sleep', '9999'])
    os._exit(0)
os.wait()[1] and None`)
		require.Equal(t, "ok", got.ending, "%+v", got)
		require.Eventually(t, func() bool { return a.box.count(t, "sleep") == 5 }, patience, probeEvery, "what was started lives on")
	}
	for name, end := range map[string]func(*testing.T, string){"a restart": a.restart, "a removal": a.remove} {
		t.Run("B15 "+name, func(t *testing.T) {
			if name == "a removal" {
				a.attacked = a.create(t)
			}
			a.again(t)
			start(t)
			st := a.begin(t, a.attacked, "while True: pass")
			st.started(t)
			a.interrupt(t, a.attacked)
			require.Equal(t, "interrupted", st.wait(t).ending)
			require.Equal(t, 5, a.box.count(t, "sleep"), "an interrupt is for the execution")
			end(t, a.attacked)
			require.Eventually(t, func() bool { return len(a.box.processes(t)) == 0 }, patience, probeEvery, "something outlives its container")
			if name == "a removal" {
				a.attacked = a.create(t)
			}
			a.again(t)
		})
	}
	t.Run("B15 the kernel's death", func(t *testing.T) {
		a.again(t)
		start(t)
		require.Equal(t, "crashed", a.run(t, a.attacked, "import os; os._exit(0)").ending)
		require.Eventually(t, func() bool { return len(a.box.processes(t)) == 0 }, patience, probeEvery, "something outlives its kernel")
		a.again(t)
	})
}

// count is how many processes of the container have a name and live.
func (b *box) count(t *testing.T, name string) int {
	t.Helper()
	return len(slices.DeleteFunc(b.processes(t), func(p process) bool { return p.name != name || p.state == "Z" }))
}

// TestExitsAndCrashes: an exit is an error, a death is a death whatever its status, and each is told once.
func TestExitsAndCrashes(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct{ name, code, ending, errName, says string }{
		{"B17 sys.exit", "import sys; sys.exit(3)", "error", "SystemExit", "3"},
		{"B17 quit", "quit()", "error", "SystemExit", ""},
		{"B17 exit", "exit", "error", "SystemExit", ""},
		{"B17 _exit", "import os; os._exit(0)", "crashed", "KernelDied", "exit status 0"},
		{"B17 _exit in a thread", "import os, threading, time; threading.Thread(target=os._exit, args=(5,)).start(); time.sleep(60)", "crashed", "KernelDied", "exit status 5"},
		{"B17 a shell's exit", "!exit 7\nprint('on')", "ok", "", ""},
		{"B17 a program in the kernel's place", "import os; os.execv('/bin/true', ['true'])", "crashed", "KernelDied", "exit status 0"},
		{"B17 a fork that exits", "import os, sys\nif os.fork() == 0: sys.exit(3)\nos.wait()[1] >> 8", "ok", "", ""},
		{"B18 a segmentation fault", "import ctypes; ctypes.string_at(0)", "crashed", "KernelDied", "segmentation fault"},
		{"B18 abort", "import os; os.abort()", "crashed", "KernelDied", "aborted"},
		{"B18 signal 11 of a shell", "!kill -SEGV $PPID\nimport time; time.sleep(60)", "crashed", "KernelDied", "segmentation fault"},
		{"B18 an illegal instruction", "import os; os.kill(os.getpid(), 4)", "crashed", "KernelDied", "illegal instruction"},
		{"B18 a child's fault", "import subprocess\nsubprocess.run(['sh', '-c', 'kill -SEGV $$']).returncode", "ok", "", ""},
		{"B19 signals to PID 1", "import os, signal\nfor s in range(1, 65):\n    for pid in 1, os.getppid():\n        try: os.kill(pid, s); print('sent', s)\n        except PermissionError: pass", "ok", "", ""},
		{"B19 a shell's kill of PID 1", "!kill -9 1; kill -TERM 1; kill -9 -- -1 $PPID", "crashed", "KernelDied", "killed"},
		{"B19 a kill of all", "!kill -9 -1", "crashed", "KernelDied", "killed"},
		{"B19 a kill of its group", "import os; os.killpg(0, 9)", "crashed", "KernelDied", "killed"},
		{"B19 a kill of each", "import os\nfor p in sorted(map(int, filter(str.isdigit, os.listdir('/proc')))):\n    try: os.kill(p, 9)\n    except OSError: pass", "crashed", "KernelDied", "killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.again(t)
			before := a.box.inspect(t)
			got := a.attack(t, c.code, wire.Execute{TimeoutMS: 30_000})
			require.Equal(t, c.ending, got.ending, "%+v", got)
			require.Equal(t, c.errName, got.errName)
			require.Contains(t, got.errValue, c.says)
			if got.ending == "crashed" { // which the supervisor says, so it lives; where PID 1 is gone the server says lost
				require.Equal(t, "lost", got.state)
				require.Equal(t, before.RestartCount, a.container(t, a.attacked).inspect(t).RestartCount)
				return
			}
			require.NotContains(t, got.stdout, "sent")
			after := a.box.inspect(t)
			require.True(t, after.State.Running)
			require.Equal(t, before.State.StartedAt, after.State.StartedAt)
			require.Equal(t, a.box.pid, after.State.Pid, "PID 1 is the same")
		})
	}
	cores, err := filepath.Glob(filepath.Join(procFile(a.container(t, a.neighbour).pid, "root"), "home/user/*core*"))
	require.NoError(t, err)
	require.Empty(t, cores, "B18 no core file in the workspace")
}

// TestB25KernelsWorld: what code changes of its process is its own: the next execution runs in it, or ends the kernel and
// says so.
func TestB25KernelsWorld(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct{ name, code, next, want string }{
		{"another directory", "import os; os.chdir('/tmp')", "import os; print(os.getcwd())", "/tmp\n"},
		{"a directory that is gone", "import os; os.makedirs('/tmp/gone'); os.chdir('/tmp/gone'); os.rmdir('/tmp/gone')", "print(1)", "1\n"},
		{"no environment", "import os; os.environ.clear()", "import os; print(len(os.environ))", "0\n"},
		{"no descriptors", "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))", "print(1)", ""},
		{"no files", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))", "print(1)", "1\n"},
		{"no processes", "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))", "print(1)", "1\n"},
		{"no memory", "import resource; resource.setrlimit(resource.RLIMIT_AS, (1000, 1000))", "print(1)", ""},
		{"no time", "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", "print(1)", "1\n"},
		{"a low priority", "import os; os.nice(19)", "print(1)", "1\n"},
		{"no input", "import sys, faulthandler; sys.stdin.close(); faulthandler.enable()", "import sys; print(repr(sys.stdin.read()))", "''\n"},
		{"another loop", "import asyncio; asyncio.set_event_loop_policy(None); asyncio.set_event_loop(asyncio.new_event_loop())", "import asyncio; await asyncio.sleep(0); print(1)", "1\n"},
		{"another umask, session and group", "import os\nos.umask(0o777)\ntry: os.setsid()\nexcept OSError: os.setpgid(0, 0)", "print(1)", "1\n"},
		{"signals blocked", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))", "print(1)", "1\n"},
		{"no way to a core", "import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\nNone", "print(1)", "1\n"},
		{"another locale and time zone", "import locale, os, time; os.environ.update(TZ='XXX-25', LANG='tr_TR', PYTHONUTF8='0'); time.tzset()", "print('ü')", "ü\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "another directory" {
				a.restart(t, a.attacked)
			}
			a.again(t)
			stop := a.watch(t)
			got := a.run(t, a.attacked, c.code, wire.Execute{TimeoutMS: 30_000})
			require.Contains(t, []string{"ok", "error", "crashed"}, got.ending, "%+v", got)
			next := a.run(t, a.attacked, c.next, wire.Execute{TimeoutMS: 30_000})
			if next.state == "lost" {
				require.Empty(t, c.want, "%+v", next)
				next = a.run(t, a.attacked, "print(1)")
				require.Equal(t, "1\n", next.stdout)
				stop()
				return
			}
			require.Equal(t, c.want, next.stdout, "%+v", next)
			if got.state == "preserved" { // an interrupt finds the kernel still
				st := a.begin(t, a.attacked, "while True: pass")
				st.started(t)
				a.interrupt(t, a.attacked)
				require.Equal(t, "interrupted", st.wait(t).ending)
			}
			stop()
		})
	}
}
