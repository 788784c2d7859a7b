package supervisor

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The bounds of a walk through a workspace. What lies deeper, or comes later, is not counted.
const (
	maxWalkDepth   = 128
	maxWalkEntries = 1 << 20
)

// blockSize is what stat(2) counts blocks in.
const blockSize = 512

// workspace is the directory that the user works in. It is looked through as the user, who alone can read it all.
type workspace struct {
	path string
	user *userThread // its own: a long walk must not keep another from killing
}

var _ Workspace = (*workspace)(nil)

// Free implements Workspace.
func (w *workspace) Free() (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(w.path, &stat); err != nil {
		return 0, fmt.Errorf("look at the file system of %s: %w", w.path, err)
	}
	return int64(stat.Bfree) * stat.Bsize, nil //nolint:gosec // far from its end
}

// Size implements Workspace. It counts blocks, follows no link and stays on the file system; a file of several names
// counts as often as the workspace has them, in parts. What the user has closed to itself, or holds open and has deleted,
// is not seen.
func (w *workspace) Size(ctx context.Context) (int64, error) {
	walk := walk{ctx: ctx, entries: maxWalkEntries}
	err := w.user.do(func() error {
		fd, err := unix.Open(w.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		walk.device = stat.Dev
		walk.directory(fd, 1)
		return ctx.Err()
	})
	if err != nil {
		return 0, fmt.Errorf("look through %s: %w", w.path, err)
	}
	return walk.bytes, nil
}

// walk is one way through a directory tree.
type walk struct {
	ctx     context.Context //nolint:containedctx // of one call
	device  uint64
	entries int // that may still be looked at
	bytes   int64
}

// directory counts what is in a directory, and closes it. What changes meanwhile may be counted or not.
func (w *walk) directory(fd, depth int) {
	defer unix.Close(fd)
	buffer := make([]byte, 8<<10)
	for {
		n, err := unix.ReadDirent(fd, buffer)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		_, _, names := unix.ParseDirent(buffer[:n], -1, nil)
		for _, name := range names {
			if w.entries--; w.entries < 0 || w.ctx.Err() != nil {
				return
			}
			w.entry(fd, name, depth)
		}
	}
}

// entry counts a name in a directory, and what is below it.
func (w *walk) entry(parent int, name string, depth int) {
	var stat unix.Stat_t
	err := unix.Fstatat(parent, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || stat.Dev != w.device {
		return
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.bytes += stat.Blocks * blockSize / max(int64(stat.Nlink), 1) //nolint:gosec // 32 bits wide on arm64
		return
	}
	w.bytes += stat.Blocks * blockSize
	if depth == maxWalkDepth {
		return
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	if fd, err := unix.Openat(parent, name, flags, 0); err == nil {
		w.directory(fd, depth+1)
	}
}
