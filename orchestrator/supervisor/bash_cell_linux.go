package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// cell is the paths of one execution: of its code, of what bash runs besides, and of the pipes for its output, by which
// bash opens them.
type cell struct {
	code, stdout, stderr string

	before string // gives $? its value; empty: it is 0
	entry  string // runs the code with the environment of the execution; empty: that has none
}

// newCell writes the code of the n-th execution, and what goes with it, where the user can read but not change it. The
// status is that of the execution before.
func newCell(dir string, n int, run Run, status int) (cell, error) {
	base := filepath.Join(dir, strconv.Itoa(n))
	c := cell{code: base, stdout: base + ".stdout", stderr: base + ".stderr"}
	texts := map[string]string{c.code: run.Code}
	if status != 0 {
		c.before = base + ".before"
		texts[c.before] = beforeText(status)
	}
	if len(run.Env) > 0 {
		c.entry = base + ".entry"
		texts[c.entry] = entryText(c.code, run.Env)
	}
	for path, text := range texts {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // the user's to read
			return c, errors.Join(fmt.Errorf("write the code for bash: %w", err), c.remove())
		}
	}
	return c, nil
}

// open makes the pipe of a stream. It is an openPipe.
func (c cell) open(user *userThread, stream kernel.EventType, sink Sink) (p *pipe, write *os.File, err error) {
	path := c.stdout
	if stream == kernel.TypeStderr {
		path = c.stderr
	}
	var fds [2]int
	if err := openFIFO(user, path, &fds); err != nil {
		return nil, nil, fmt.Errorf("make a pipe for %s: %w", stream, err)
	}
	return pipeOf(fds, stream, sink)
}

// openFIFO makes a FIFO that the user, too, can open, and opens both its ends. It is opened as the user, since what it
// holds is accounted to whoever opens it first.
func openFIFO(user *userThread, path string, fds *[2]int) error {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // there is no other user; the umask is not asked
		return err
	}
	return user.do(func() (err error) {
		const flags = unix.O_NONBLOCK | unix.O_CLOEXEC
		if fds[0], err = unix.Open(path, unix.O_RDONLY|flags, 0); err != nil {
			return err
		}
		if fds[1], err = unix.Open(path, unix.O_WRONLY|flags, 0); err != nil {
			return errors.Join(err, unix.Close(fds[0]))
		}
		return nil
	})
}

// remove removes what the cell has in the file system. What has it open keeps it.
func (c cell) remove() error {
	var failed error
	for _, path := range []string{c.code, c.stdout, c.stderr, c.before, c.entry} {
		if path == "" {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// makeCwd makes a working directory that is missing under the home directory, as the user, and returns its whole path.
// The error of one that does not do is a *CwdError.
func makeCwd(user *userThread, home, cwd string) (string, error) {
	path := cwd
	if !filepath.IsAbs(path) {
		path = filepath.Join(home, path)
	}
	path = filepath.Clean(path)
	err := user.do(func() error {
		if strings.HasPrefix(path+"/", home+"/") {
			for end := len(home) + 1; end < len(path); end++ {
				if next := strings.IndexByte(path[end:], '/'); next >= 0 {
					end += next
				} else {
					end = len(path)
				}
				if err := unix.Mkdir(path[:end], 0o755); err != nil && err != unix.EEXIST {
					return err
				}
			}
		}
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			return err
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			return unix.ENOTDIR
		}
		return unix.Access(path, unix.X_OK)
	})
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, unix.ENOENT):
		return "", &CwdError{Value: "no such directory: " + path}
	case errors.Is(err, unix.ENOTDIR):
		return "", &CwdError{Value: "not a directory: " + path}
	default:
		return "", &CwdError{Value: fmt.Sprintf("cannot use the directory %s: %v", path, err)}
	}
}
