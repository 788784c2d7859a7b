//go:build integration

package abusetest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQuotas: what a process, a user and a container have a bounded number of.
func TestQuotas(t *testing.T) {
	s := startServer(t)
	t.Run("A12 a kernel without a free descriptor still talks", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, "import os\nl = []\nwhile True: l.append(os.open('/dev/null', 0))")
		require.Equal(t, "error", got.ending)
		require.Equal(t, "OSError", got.errName)
		require.Contains(t, got.errValue, "Too many open files")
		require.Equal(t, "hi\n", a.run(t, a.attacked, "print('hi')").stdout)
		a.requireKept(t)
	})
	t.Run("A21 reading and syncing without end", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, "!while :; do cat /usr/lib/*/* >/dev/null 2>&1; sync; done", soon)
		require.Equal(t, "timeout", got.ending)
	})
	t.Run("A23 many tiny executions leave nothing in the engine or the server", func(t *testing.T) {
		testTinyExecutions(t, newArena(t, s))
	})
	t.Run("A19 the quotas of one user do not bind another", func(t *testing.T) {
		testQuotasOfUsers(t, newArena(t, s), newArena(t, startServer(t)))
	})
}

func testTinyExecutions(t *testing.T, a *arena) {
	descriptors := func() int {
		open, err := os.ReadDir(procFile(a.pid(), "fd"))
		require.NoError(t, err)
		return len(open)
	}
	const rounds = 500
	run := func() {
		for i := range rounds {
			got := a.run(t, a.attacked, "1 + 1")
			require.Equal(t, "2", got.text, "round %d: %+v", i, got)
		}
	}
	run()
	execs, open := len(a.box.inspect(t).ExecIDs), descriptors()
	run()
	require.Len(t, a.box.inspect(t).ExecIDs, execs)
	require.LessOrEqual(t, execs, 2)
	require.LessOrEqual(t, descriptors(), open+5)
	require.Equal(t, "42", a.run(t, a.attacked, "x + 1").text)
}

// testQuotasOfUsers uses up what the host's kernel grants one uid, and asks for it as the same and as another.
func testQuotasOfUsers(t *testing.T, greedy, other *arena) {
	const probe = `import ctypes, fcntl, os
watch = ctypes.CDLL(None).inotify_init()
pipes = [os.pipe() for _ in range(16)]
print(watch >= 0, all(fcntl.fcntl(p[0], fcntl.F_GETPIPE_SZ) >= 65536 for p in pipes))
for fd in sum(pipes, (watch,)):
    if fd >= 0: os.close(fd)`
	const take = `import ctypes, fcntl, os
libc = ctypes.CDLL(None)
watches = [fd for fd in (libc.inotify_init() for _ in range(200)) if fd >= 0]
pipes = []
try:
    while True:
        pipes.append(os.pipe())
        fcntl.fcntl(pipes[-1][0], fcntl.F_SETPIPE_SZ, 1 << 20)
except OSError: pass`
	const takeMore = `while fcntl.fcntl(pipes[-1][0], fcntl.F_GETPIPE_SZ) >= 65536: pipes.append(os.pipe())`
	uid := func(a *arena) string {
		status, err := os.ReadFile(procFile(a.box.kernel(t).pid, "status"))
		require.NoError(t, err)
		_, after, _ := strings.Cut(string(status), "\nUid:")
		return strings.Fields(after)[0]
	}
	require.NotEqual(t, uid(greedy), uid(other))
	require.Equal(t, "True True\n", greedy.run(t, greedy.neighbour, probe).stdout, "control: both are there at first")
	require.Equal(t, "ok", greedy.attack(t, take).ending)
	none := func() bool { return greedy.run(t, greedy.neighbour, probe).stdout == "False False\n" }
	for range 10 { // an execution gives back its own output's pipes, of 1 MiB if it could have them
		if none() {
			break
		}
		require.Equal(t, "ok", greedy.run(t, greedy.attacked, takeMore).ending)
	}
	require.True(t, none(), "control: the same user has none left")
	require.Equal(t, "True True\n", other.run(t, other.attacked, probe).stdout)
}
