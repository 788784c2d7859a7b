package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"
)

// ErrMoved says that the state directory is no longer where it was opened. What would be written now would be lost.
var ErrMoved = errors.New("state directory was moved or replaced while in use: put it back, or start the server anew")

// pidFile names the process that opened the state directory last.
const pidFile = "pid"

// signIn notes which process has the state directory open, for holder. A failure costs a word of a message.
func signIn(dir string) {
	_ = os.WriteFile(filepath.Join(dir, pidFile), []byte(strconv.Itoa(os.Getpid())), 0o600)
}

// holder says which process has the state directory open, if it has noted that. It is the lock of the file that keeps
// others out: a process id outlives its process.
func holder(dir string) string {
	pid, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil || len(pid) == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %s)", pid)
}

// update changes the store, unless the next server would not find the change.
func (s *Store) update(change func(*bbolt.Tx) error) error {
	found, err := os.Stat(s.db.Path())
	if err != nil || !os.SameFile(found, s.file) {
		return fmt.Errorf("%s: %w", filepath.Dir(s.db.Path()), ErrMoved)
	}
	return s.db.Update(change)
}
