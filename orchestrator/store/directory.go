package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// ErrMoved says that the state directory is no longer where it was opened. What would be written now would be lost.
var ErrMoved = errors.New("state directory was moved or replaced while in use: put it back, or start the server anew")

// update changes the store, unless the next server would not find the change.
func (s *Store) update(change func(*bbolt.Tx) error) error {
	found, err := os.Stat(s.db.Path())
	if err != nil || !os.SameFile(found, s.file) {
		return fmt.Errorf("%s: %w", filepath.Dir(s.db.Path()), ErrMoved)
	}
	return s.db.Update(change)
}
