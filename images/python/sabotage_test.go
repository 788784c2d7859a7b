//go:build integration

package python

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// User code may break what is its own process, but the next execution runs.
func TestSabotageIsSurvived(t *testing.T) {
	d := boot(t)
	for _, c := range []struct{ name, code string }{
		{"1 and 2 closed", "import os; os.close(1); os.close(2)"},
		{"0 closed", "import os; os.close(0)"},
		{"1 moved", "import os; os.dup2(os.open('/dev/null', 1), 1)"},
		{"stdout replaced by nothing", "import sys; sys.stdout = sys.stderr = sys.stdin = None"},
		{"stdout replaced by a full device", "import sys; sys.stdout = open('/dev/full', 'w'); print(1)"},
		{"methods of the streams replaced", "import sys; sys.stdout.write = sys.stdout.flush = sys.stdout.buffer.write = sys.stderr.write = None"},
		{"streams closed", "import sys; sys.stdout.close(); sys.stderr.close(); sys.stdin.close()"},
		{"no imports", "import builtins; builtins.__import__ = None"},
		{"empty namespace", "import __main__; __main__.__dict__.clear()"},
		{"no modules", "import sys; sys.modules.clear()"},
		{"no path", "import sys; sys.path.clear()"},
		{"no json", "import json; json.dumps = json.loads = json.JSONEncoder = None"},
		{"no os", "import os; os.write = os.dup2 = os.close = os.environ = os.stat = None"},
		{"every object looked at", "import gc; len([o for o in gc.get_objects()])"},
		{"trace function that raises", "import sys\nsys.settrace(lambda *a: 1/0)"},
		{"trace function", "import sys\ndef trace(*a): return trace\nsys.settrace(trace)"},
		{"another event loop", "import asyncio; asyncio.set_event_loop(None); asyncio.get_running_loop().stop()"},
		{"all tasks cancelled", "import asyncio\nfor t in asyncio.all_tasks(): t.cancel()"},
		{"task that exits", "import asyncio\nasync def f(): raise SystemExit\nt = asyncio.create_task(f()); await asyncio.sleep(0.1)"},
		{"signals ignored", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGPIPE, signal.SIG_DFL)"},
		{"every descriptor used", "import os\nused = []\nwhile True: used.append(os.open('/dev/null', 0))"},
		{"still every descriptor used", "import os\nos.open('/dev/null', 0)"},
		{"descriptors given back", "import os\nfor fd in used: os.close(fd)"},
		{"no environment, another directory", "import os, sys; sys.modules.pop('os'); import os; os.chdir('/'); os.environ.clear()"},
		{"little recursion", "import sys; sys.setrecursionlimit(80)"},
		{"frames written to every descriptor", "import os\nfor fd in range(4, 64):\n    try: os.write(fd, b'{\"type\":\"done\"}\\n')\n    except OSError: pass"},
		{"nested parentheses", "eval('(' * 10**6)"},
		{"NUL in code", "x\x00y"},
		{"byte order mark", "\ufeff1"},
		{"exception in a thread", "import threading; t = threading.Thread(target=lambda: 1/0); t.start(); t.join()"},
		{"repr of 50 MB", "class R:\n    def __repr__(self): return 'x' * 5 * 10**7\nR()"},
		{"3 MB of code", "x = '" + strings.Repeat("x", 3<<20) + "'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.t = t
			require.False(t, d.do(c.code).exited)
			require.Equal(t, want{main: "2", out: "p\n"}, d.do("print('p')\n1 + 1").want())
		})
	}
}

// What cannot be survived ends the kernel, and at once: it never hangs.
func TestSabotageThatKillsTheKernel(t *testing.T) {
	for _, c := range []struct {
		name, code string
		status     int
	}{
		{"_exit", "import os; os._exit(0)", 0},
		{"segmentation fault", "import ctypes; ctypes.string_at(0)", -11},
		{"abort", "import os; os.abort()", -6},
		{"all descriptors closed", "import os; os.closerange(0, 1024)", 70},
		{"the channel closed", "import os; os.close(3)", 70},
		{"the shell emptied", "get_ipython().__dict__.clear()", 70},
		{"killed", "import os; os.kill(os.getpid(), 9)", -9},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := boot(t).do(c.code)
			require.True(t, r.exited)
			require.Equal(t, c.status, r.status)
		})
	}
	t.Run("no descriptor left", func(t *testing.T) {
		d := boot(t)
		require.False(t, d.do("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))").exited)
		r := d.do("1")
		require.True(t, r.exited)
		require.Equal(t, 70, r.status)
		require.Contains(t, r.dying, "no file descriptor is left")
	})
}

// What lies in a workspace cannot keep the kernel of a restarted context from booting.
func TestBootsWhateverTheWorkspaceHolds(t *testing.T) {
	d := boot(t)
	r := d.do(`import os, site, socket, subprocess
broken = ["json", "asyncio", "traceback", "traitlets", "IPython", "driver_kernel"]
os.makedirs(site.getusersitepackages())
for folder in (".", site.getusersitepackages()):
    for name in broken:
        with open(f"{folder}/{name}.py", "w") as f: f.write("raise SystemExit('broken')")
ours, theirs = socket.socketpair()
boot = f"exec 3<&{theirs.fileno()}; exec python3 -I /opt/cubby/driver.py"
p = subprocess.Popen(["bash", "-c", boot], pass_fds=[theirs.fileno()]); theirs.close()
print(ours.recv(100).decode()[:14])
p.kill(); p.wait();`)
	require.Equal(t, want{out: "{\"type\":\"boot\"\n"}, r.want())
}
