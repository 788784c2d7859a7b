package supervisor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ownWorkspace returns a workspace that belongs to a user of its own, and is closed to others.
func ownWorkspace(t *testing.T) (w *workspace, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path, err := os.MkdirTemp("", "workspace") //nolint:usetesting // the user cannot enter a t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(path)) })
	user := newUserThread(1<<30 + 4711)
	t.Cleanup(func() { close(user.calls) })
	require.NoError(t, os.Chown(path, user.uid, user.uid))
	return &workspace{path: path, user: user}, path
}

// fill writes a file of so many KiB, which belongs to the user, as does its directory.
func fill(t *testing.T, w *workspace, kib int, name ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{w.path}, name...)...)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", kib<<10)), 0o600))
	require.NoError(t, filepath.WalkDir(w.path, func(path string, _ os.DirEntry, _ error) error {
		return os.Lchown(path, w.user.uid, w.user.uid)
	}))
	return path
}

func TestWorkspaceSize(t *testing.T) {
	size := func(t *testing.T, w *workspace) int64 {
		t.Helper()
		size, err := w.Size(t.Context())
		require.NoError(t, err)
		return size >> 10
	}
	t.Run("is that of all files", func(t *testing.T) {
		w, _ := ownWorkspace(t)
		require.Zero(t, size(t, w))
		fill(t, w, 1000, "a")
		fill(t, w, 2000, "b", "c", "d")
		require.InDelta(t, 3000, size(t, w), 100, "directories and metadata take little")
	})
	t.Run("counts a file of several names once, and no hole", func(t *testing.T) {
		w, path := ownWorkspace(t)
		file := fill(t, w, 1000, "a")
		require.NoError(t, os.Link(file, filepath.Join(path, "b")))
		require.NoError(t, os.Truncate(fill(t, w, 0, "hole"), 1<<30))
		require.InDelta(t, 1000, size(t, w), 100)
	})
	t.Run("follows no link, and stays on the file system", func(t *testing.T) {
		w, path := ownWorkspace(t)
		outside := t.TempDir()
		require.NoError(t, os.Chmod(outside, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "x"), make([]byte, 1<<20), 0o600))
		require.NoError(t, os.Symlink(outside, filepath.Join(path, "link")))
		require.NoError(t, os.Symlink(path, filepath.Join(path, "self")))
		mount := filepath.Join(path, "mount")
		require.NoError(t, os.Mkdir(mount, 0o755))
		if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=4m"); err == nil {
			defer func() { require.NoError(t, unix.Unmount(mount, 0)) }()
			require.NoError(t, os.WriteFile(filepath.Join(mount, "x"), make([]byte, 1<<20), 0o644))
		}
		require.Less(t, size(t, w), int64(100))
	})
	t.Run("of what the user has closed to itself is not known", func(t *testing.T) {
		w, _ := ownWorkspace(t)
		require.NoError(t, os.Chmod(filepath.Dir(fill(t, w, 1000, "closed", "a")), 0))
		fill(t, w, 500, "open")
		require.InDelta(t, 500, size(t, w), 100)
	})
	t.Run("of very deep directories is counted as far as the walk goes", func(t *testing.T) {
		w, path := ownWorkspace(t)
		require.NoError(t, os.MkdirAll(path+strings.Repeat("/d", 2*maxWalkDepth), 0o755))
		fill(t, w, 500, "a")
		require.Less(t, int64(499), size(t, w))
	})
	t.Run("is not looked for any longer once nobody wants it", func(t *testing.T) {
		w, _ := ownWorkspace(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.Size(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("that cannot be opened is an error", func(t *testing.T) {
		w, path := ownWorkspace(t)
		require.NoError(t, os.Chmod(path, 0))
		_, err := w.Size(t.Context())
		require.ErrorIs(t, err, os.ErrPermission)
		_, err = w.Free()
		require.NoError(t, err)
		w.path = "/nowhere"
		_, err = w.Free()
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestWorkspaceFree(t *testing.T) {
	w, path := ownWorkspace(t)
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("needs to mount")
	}
	defer func() { require.NoError(t, unix.Unmount(path, 0)) }()
	before, err := w.Free()
	require.NoError(t, err)
	fill(t, w, 1000, "a")
	after, err := w.Free()
	require.NoError(t, err)
	require.InDelta(t, 1000<<10, before-after, 100<<10)
}
