//go:build integration

package abusetest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// again makes the attacked context ready for another attack: with its variable, in a container that is known.
func (a *arena) again(t *testing.T) {
	t.Helper()
	got := a.run(t, a.attacked, a.set)
	require.Equal(t, "ok", got.ending, "%+v", got)
	a.box = a.containerOf(t, a.run(t, a.attacked, a.host).answer())
}

// TestB8ForgedFramesOnStdout: frames and lines that code prints, its own execution's id in them, are text.
func TestB8ForgedFramesOnStdout(t *testing.T) {
	a := newArena(t, startServer(t))
	stop := a.watch(t)
	st := a.begin(t, a.attacked, `import json, os, sys, time
while not os.path.exists('id'): time.sleep(0.01)
id = open('id').read(); os.remove('id')
for stream in sys.stdout, sys.stderr:
    for frame in (
        {'id': id, 'seq': 10**6, 'type': 'done', 'ending': 'crashed', 'state': 'lost'},
        {'id': id, 'seq': 10**6 + 1, 'type': 'result', 'main': True, 'data': {'text/plain': 'forged'}},
        {'type': 'done'}, {'type': 'exited', 'ending': 'oom'}, {'type': 'hello', 'protocol': 2, 'boot': 'x'},
        {'type': 'end_of_execution', 'ending': 'crashed', 'state': 'lost'},
    ): print(json.dumps(frame), file=stream)
'real'`)
	write := "f = open('new', 'w'); f.write('" + st.executionID + "'); f.close(); __import__('os').rename('new', 'id')"
	require.Equal(t, "ok", a.run(t, a.neighbour, write).ending, "the neighbour, which has the same workspace, tells the id")
	got := st.wait(t)
	require.Equal(t, "ok", got.ending)
	require.Equal(t, "real", got.text)
	require.Zero(t, got.errors)
	for _, printed := range []string{got.stdout, got.stderr} {
		require.Equal(t, 6, strings.Count(printed, "\n"))
		require.Equal(t, 2, strings.Count(printed, st.executionID))
	}
	a.settle(t, got)
	stop()
}

// forgery is what code writes to descriptors that are none of its business.
const forgery = `{"type":"result","main":true,"data":{"text/plain":"forged"}}\n{"type":"error","name":"Forged"}\n{"type":"done"}\n`

// TestB9ForgedFramesOnDescriptors: a child process has no descriptor of the protocol, and is not believed where it was
// given one. The interpreter, which shares its process with the driver, can deceive its own execution, and no other.
func TestB9ForgedFramesOnDescriptors(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct{ name, code, stdout string }{
		{"a shell writes to all that it has", `!for f in /proc/$$$$/fd/[3-9]*; do printf '` + forgery + `' > $f; done` + "\nprint('real')\n'real'", "real\n"},
		{"a shell writes to all that its parent has", `import os
os.system("for f in /proc/$PPID/fd/[3-9]*; do printf '` + strings.ReplaceAll(strings.ReplaceAll(forgery, `\n`, `\\n`), `"`, `\"`) + `' > $f; done")` + "\nprint('real')\n'real'", "real\n"},
		{"a child that was given the channel", `import subprocess, time
subprocess.run(['sh', '-c', "printf '` + strings.ReplaceAll(strings.ReplaceAll(forgery, `\n`, `\\n`), `"`, `\"`) + `' >&3"], pass_fds=[3])
time.sleep(0.3); print('real')
'real'`, "real\n"},
		{"a fork that Python does not know of", `import ctypes, os
if ctypes.PyDLL(None).fork() == 0:
    os.write(3, b'` + forgery + `'); os._exit(0)
os.wait(); print('real')
'real'`, "real\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.again(t)
			got := a.attack(t, c.code)
			require.Equal(t, "ok", got.ending, "%+v", got)
			require.Equal(t, "real", got.text)
			require.Equal(t, c.stdout, got.stdout)
			require.Zero(t, got.errors)
		})
	}
	t.Run("the interpreter itself", func(t *testing.T) {
		a.again(t)
		stop := a.watch(t)
		for range 5 {
			forged := a.run(t, a.attacked, "import os, time\nfor fd in range(3, 256):\n    try: os.write(fd, b'"+forgery+"')\n    except OSError: pass\ntime.sleep(0.2); print('late')")
			require.Contains(t, []string{"ok", "error"}, forged.ending)
			next := a.run(t, a.attacked, "import time; time.sleep(0.5); print('mine')\nx + 1")
			require.Equal(t, "ok", next.ending)
			require.Equal(t, "mine\n", next.stdout, "the next execution has an end of its own")
			require.Equal(t, "42", next.text)
		}
		stop()
	})
	t.Run("what is no frame ends the kernel", func(t *testing.T) {
		for _, garbage := range []string{`garbage\n`, `\x00\xff\n`, `[]\n`, `{"type":1}\n`} {
			a.again(t)
			got := a.attack(t, "import os, time\nos.write(3, b'"+garbage+"')\ntime.sleep(60)")
			require.Equal(t, "crashed", got.ending, garbage)
			require.Contains(t, got.errValue, "sent no frame but")
		}
	})
	t.Run("a child has 0, 1 and 2, and nothing else", func(t *testing.T) {
		a.again(t)
		st := a.begin(t, a.attacked, "import subprocess\nprint('on'); subprocess.run(['sleep', '1000'])", wire.Execute{TimeoutMS: 60_000})
		st.until(t, func(o outcome) bool { return o.stdout != "" })
		require.Eventually(t, func() bool { return a.box.named(t, "sleep") > 0 }, patience, probeEvery)
		require.Equal(t, []string{"0", "1", "2"}, descriptors(t, a.box.named(t, "sleep")))
		require.Contains(t, descriptors(t, a.box.kernel(t).pid), "3", "the control: the kernel has its channel")
		a.interrupt(t, a.attacked)
		require.Equal(t, "interrupted", st.wait(t).ending)
	})
}

// named is the pid on the host of a process of the container with a name, or 0.
func (b *box) named(t *testing.T, name string) int {
	t.Helper()
	for _, p := range b.processes(t) {
		if p.name == name {
			return p.pid
		}
	}
	return 0
}

// descriptors are the names of what a process has open.
func descriptors(t *testing.T, pid int) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestB10AnotherProcess: what belongs to root in the container, PID 1 and the bridges, is out of reach; the control is
// that the same probe reaches a process of its own.
func TestB10AnotherProcess(t *testing.T) {
	a := newArena(t, startServer(t))
	got := a.attack(t, `import ctypes, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def reach(pid):
    "Name what of a process can be had."
    had = []
    for name, probe in {
        'its output': lambda: open(f'/proc/{pid}/fd/1', 'wb'),
        'its list of descriptors': lambda: os.listdir(f'/proc/{pid}/fd'),
        'its memory': lambda: open(f'/proc/{pid}/mem', 'r+b'),
        'its environment': lambda: open(f'/proc/{pid}/environ').read(),
        'its descriptors': lambda: libc.syscall(438, libc.syscall(434, pid, 0), 1, 0) >= 0 or 1/0,
        'a signal': lambda: os.kill(pid, 0),
        'a limit': lambda: __import__('resource').prlimit(pid, 7, (100, 100)),
    }.items():
        try: probe(); had.append(name)
        except (OSError, ZeroDivisionError): pass
    return had
roots = [int(p) for p in os.listdir('/proc') if p.isdigit() and os.stat('/proc/' + p).st_uid == 0]
print(1 in roots, os.getppid() in roots, len(roots) > 1)
print(*{what for pid in roots for what in reach(pid)})
own = subprocess.Popen(['sleep', '100'])
print(*reach(own.pid), sep=', '); own.kill(); own.wait()
None`)
	require.Equal(t, "ok", got.ending, "%+v", got)
	lines := strings.Split(got.stdout, "\n")
	require.Equal(t, "True True True", lines[0], "PID 1, which is the parent, and the bridges are root's")
	require.Empty(t, lines[1])
	for _, own := range []string{"its output", "its list of descriptors", "its memory", "its environment", "a signal", "a limit"} {
		require.Contains(t, lines[2], own, "the control")
	}
}
