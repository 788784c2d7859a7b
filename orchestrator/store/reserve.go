package store

import (
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"syscall"

	"go.etcd.io/bbolt"
)

// reserveBytes is more than the database grows by when a record is marked as one that goes, and then goes.
const reserveBytes = 256 << 10

// reserve is a file that does nothing but take room on the disk: a removal frees room, and the store writes before it
// removes. On a full disk it therefore gives the file up.
type reserve struct {
	path string

	mu   sync.Mutex
	kept bool
}

// keep makes the file, if it is not there and there is room.
func (r *reserve) keep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept {
		return
	}
	content := make([]byte, reserveBytes)
	_, _ = rand.Read(content) // what can be compressed takes no room
	if r.kept = os.WriteFile(r.path, content, 0o600) == nil; !r.kept {
		_ = os.Remove(r.path)
	}
}

// spend gives the file's room to others, and reports whether there was any.
func (r *reserve) spend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = false
	return os.Remove(r.path) == nil
}

// relieve makes a change that a removal needs: where the disk is full it may have the reserve.
func (s *Store) relieve(change func(*bbolt.Tx) error) error {
	err := s.update(change)
	if errors.Is(err, syscall.ENOSPC) && s.reserve.spend() {
		return s.update(change)
	}
	return err
}
