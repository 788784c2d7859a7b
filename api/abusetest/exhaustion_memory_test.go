//go:build integration

package abusetest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hog takes memory without end.
const hog = "a = []\nwhile True: a.append(bytearray(10**7))"

// thrashed says that memory was full, but that Linux killed nobody for it, which depends on what the host has cached.
const thrashed = "read from the disk again and again"

// TestMemory: more memory than there is.
func TestMemory(t *testing.T) {
	s := startServer(t)
	t.Run("A5 an allocation that cannot be is an error of the code", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, "y = bytearray(10**15)") // more than an address space, whatever the host overcommits
		require.Equal(t, "error", got.ending)
		require.Equal(t, "MemoryError", got.errName)
		a.requireKept(t)
		require.Zero(t, a.oomKills(t))
	})
	t.Run("A5 memory without end kills the kernel, which is said", func(t *testing.T) {
		a := newArena(t, s)
		limits := a.box.inspect(t).HostConfig
		require.Equal(t, limits.Memory, limits.MemorySwap, "no swap of the host")
		stop := a.box.sample(t)
		got := a.attack(t, hog)
		require.Equal(t, "oom", got.ending)
		require.Equal(t, "OutOfMemoryError", got.errName)
		requireLost(t, a, got)
		seen := stop()
		if !strings.Contains(got.errValue, thrashed) {
			require.EqualValues(t, 1, seen.oomKills)
			require.EqualValues(t, 1, got.usage.OOMKills)
		}
	})
	t.Run("A6 a child that is killed for its memory takes nobody with it", func(t *testing.T) {
		a := newArena(t, s)
		kernel := a.box.kernel(t)
		got := a.attack(t, "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'bytearray(10**10)']).returncode)")
		require.Equal(t, "ok", got.ending)
		require.Equal(t, "-9\n", got.stdout)
		a.requireKept(t)
		require.Equal(t, kernel.pid, a.box.kernel(t).pid)
		require.EqualValues(t, 1, a.oomKills(t))
		require.EqualValues(t, 1, got.usage.OOMKills)
	})
	t.Run("A20 what the host's kernel keeps for a context is charged to it", func(t *testing.T) {
		a := newArena(t, s)
		before := a.box.memory(t)
		got := a.attack(t, sockets)
		require.Equal(t, "ok", got.ending, "%+v", got)
		written, err := strconv.ParseInt(got.text, 10, 64)
		require.NoError(t, err)
		grown := a.box.memory(t) - before
		t.Logf("%d MiB in sockets, the container grew by %d MiB", written>>20, grown>>20)
		require.Greater(t, written, int64(20<<20))
		require.Greater(t, grown, written/2)
		a.requireKept(t)
	})
}

// sockets fills the buffers of as many sockets as can be opened, and says how much they took.
const sockets = `import socket
pairs, written = [], 0
try:
    while True: pairs.append(socket.socketpair())
except OSError: pass
for pair in pairs:
    for s in pair:
        s.setblocking(False)
        try:
            while True: written += s.send(bytes(16384))
        except BlockingIOError: pass
written`

// oomKills is the count of the attacked context's container, which has to be there still.
func (a *arena) oomKills(t *testing.T) int64 {
	t.Helper()
	kills, err := a.box.readOOMKills()
	require.NoError(t, err)
	return kills
}

// TestManyAtTheLimit: many contexts that use up their memory at once hurt themselves only.
func TestManyAtTheLimit(t *testing.T) {
	s := startServer(t, "--memory", "128MiB")
	t.Run("A22 many contexts at the limit", func(t *testing.T) {
		const offenders = 8
		a := newArena(t, s)
		ids := []string{a.attacked}
		for range offenders - 1 {
			ids = append(ids, a.create(t))
		}
		requireKilledFirst(t, a)

		stop := a.watch(t)
		var streams []*stream
		for _, id := range ids {
			streams = append(streams, a.begin(t, id, hog))
		}
		for _, st := range streams {
			got := st.wait(t)
			require.Equal(t, "oom", got.ending, "%+v", got)
			require.Equal(t, "lost", got.state)
		}
		for _, id := range ids {
			require.Equal(t, "2", a.run(t, id, "1 + 1").text)
			require.Equal(t, 2, a.detail(t, id).Generation)
		}
		stop()
		require.Equal(t, 1, a.detail(t, a.neighbour).Generation)
		for _, id := range ids[1:] {
			a.remove(t, id)
		}
	})
}

// requireKilledFirst holds that of all concerned the kernel is the one whom the host would kill for want of memory.
func requireKilledFirst(t *testing.T, a *arena) {
	t.Helper()
	score := func(pid int) int {
		text, err := os.ReadFile(procFile(pid, "oom_score_adj"))
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		return n
	}
	kernel := score(a.box.kernel(t).pid)
	require.Less(t, score(a.box.pid), kernel, "PID 1")
	require.Less(t, score(a.pid()), kernel, "the server")
	all, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	engines := 0
	for _, dir := range all {
		if p, ok := readProcess(dir); ok && (p.name == "dockerd" || p.name == "containerd") {
			engines++
			require.Less(t, score(p.pid), kernel, p.name)
		}
	}
	require.Positive(t, engines, "no engine was looked at")
}
