//go:build integration

package abusetest

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestFiles: more files than there is room for.
func TestFiles(t *testing.T) {
	s := startServer(t)
	for _, dir := range []string{"tmp", "dev/shm"} {
		t.Run("A8 a file that fills a file system in memory is an error of the code: /"+dir, func(t *testing.T) {
			a := newArena(t, s)
			got := a.attack(t, fmt.Sprintf("f = open('/%s/f', 'wb')\nwhile True: f.write(b'x' * 10**6); f.flush()", dir))
			requireNoSpace(t, got)
			full := a.box.fileSystem(t, dir)
			require.Zero(t, full.Bavail)
			require.LessOrEqual(t, int64(full.Blocks)*full.Bsize, a.detail(t, a.attacked).Limits.MemoryBytes/2)
			require.Zero(t, a.oomKills(t))
			a.requireWroteNothing(t)
			a.requireKept(t)
		})
		t.Run("A9 files without end in memory are an error of the code: /"+dir, func(t *testing.T) {
			a := newArena(t, s)
			got := a.attack(t, fmt.Sprintf("for i in range(10**7): open(f'/%s/{i}', 'w').close()", dir))
			requireNoSpace(t, got)
			full := a.box.fileSystem(t, dir)
			require.Zero(t, full.Ffree)
			require.Positive(t, full.Bavail, "inodes ran out, not room")
			require.Zero(t, a.oomKills(t))
			a.requireKept(t)
		})
	}
	t.Run("A11 a new context sees nothing that another left, but in the workspace they share", func(t *testing.T) {
		testLeftovers(t, newArena(t, s))
	})
}

// TestRootFileSystem: the image's files and the host's disk.
func TestRootFileSystem(t *testing.T) {
	const fileLimit = 16 << 20
	s := startServer(t, "--file-size", fmt.Sprint(fileLimit))
	t.Run("A10 the root file system takes nothing, the workspace no file beyond the limit", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, "!fallocate -l 1T /big; dd if=/dev/zero of=/var/big bs=1M count=1", wire.Execute{TimeoutMS: 60_000})
		require.Equal(t, 2, strings.Count(got.stdout+got.stderr, "Read-only file system"), "%+v", got)
		a.requireWroteNothing(t)

		got = a.attack(t, "!fallocate -l 1T $HOME/f; dd if=/dev/zero of=$HOME/g bs=1M count=100; stat -c %s $HOME/g", wire.Execute{TimeoutMS: 60_000})
		require.Equal(t, 2, strings.Count(got.stdout+got.stderr, "File size limit exceeded"), "%+v", got)
		written, err := filepath.Glob(filepath.Join(procFile(a.box.pid, "root"), "home/user/[fg]"))
		require.NoError(t, err)
		require.NotEmpty(t, written, "control: the workspace can be written")
		for _, path := range written {
			var file syscall.Stat_t
			require.NoError(t, syscall.Stat(path, &file))
			require.LessOrEqual(t, file.Size, int64(fileLimit), path)
			require.LessOrEqual(t, file.Blocks*512, int64(fileLimit+1<<20), path)
		}
		a.requireKept(t)
	})
}

// testLeftovers leaves files wherever it can.
func testLeftovers(t *testing.T, a *arena) {
	const leave = `import os
left = []
for place in ('/dev/shm', '/dev/mqueue', '/run', '/run/lock', '/tmp', '/var/tmp', os.environ['HOME']):
    try:
        os.makedirs(place + '/.leftover')
        left.append(place)
    except OSError: pass
print(*left)`
	const look = `import os
print(*(d for d, below, _ in os.walk('/') if '.leftover' in below and not d.startswith('/proc')))`
	got := a.attack(t, leave)
	require.Equal(t, "ok", got.ending)
	places := strings.Fields(got.stdout)
	require.Subset(t, places, []string{"/dev/shm", "/tmp", "/home/user"}, "control: these can be written")
	require.ElementsMatch(t, places, strings.Fields(a.run(t, a.attacked, look).stdout), "control: the look finds them")

	fresh := a.create(t)
	defer a.remove(t, fresh)
	for _, id := range []string{fresh, a.neighbour} {
		require.Equal(t, "/home/user\n", a.run(t, id, look).stdout)
	}
	a.restart(t, a.attacked)
	require.Equal(t, "/home/user\n", a.run(t, a.attacked, look).stdout, "the next generation")
}

// requireNoSpace holds that the code met a full file system.
func requireNoSpace(t *testing.T, got outcome) {
	t.Helper()
	require.Equal(t, "error", got.ending)
	require.Equal(t, "OSError", got.errName)
	require.Contains(t, got.errValue, "No space left on device")
}

// fileSystem is that of a directory of the container.
func (b *box) fileSystem(t *testing.T, dir string) (found syscall.Statfs_t) {
	t.Helper()
	require.NoError(t, syscall.Statfs(filepath.Join(procFile(b.pid, "root"), dir), &found))
	return found
}

// requireWroteNothing holds that the container has written nothing over its image, on the host's disk.
func (a *arena) requireWroteNothing(t *testing.T) {
	t.Helper()
	found, _, err := a.docker.ContainerInspectWithRaw(t.Context(), a.box.id, true)
	require.NoError(t, err)
	require.NotNil(t, found.SizeRw)
	require.Less(t, *found.SizeRw, int64(64<<10))
}
