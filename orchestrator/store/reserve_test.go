package store

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

func TestReserve(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	file := filepath.Join(dir, "reserve")
	require.FileExists(t, file)
	room := func(*bbolt.Tx) error { // as a disk that the reserve has filled
		s.reserve.mu.Lock()
		defer s.reserve.mu.Unlock()
		if s.reserve.kept {
			return syscall.ENOSPC
		}
		return nil
	}
	require.ErrorIs(t, s.update(room), syscall.ENOSPC, "it is not for every change")
	require.FileExists(t, file)
	require.NoError(t, s.relieve(room), "it is for a removal")
	require.FileExists(t, file, "it is made again as soon as there is room")
	full := func(*bbolt.Tx) error { return syscall.ENOSPC }
	require.ErrorIs(t, s.relieve(full), syscall.ENOSPC, "it is not enough")
	require.NoFileExists(t, file)
	require.ErrorIs(t, s.relieve(full), syscall.ENOSPC, "it is gone")
}
