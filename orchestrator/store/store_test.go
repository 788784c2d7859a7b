package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"cubby/orchestrator/store"
)

func mustOpen(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestRecordsSurviveReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := store.Open(dir)
	require.NoError(t, err)
	born := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	second := store.Context{
		ID: "a", Language: "python", Cwd: "/tmp", CreatedAt: born.Add(time.Second), Generation: 2,
		Env: map[string]string{"K": "v\x00\u2028"}, Container: store.Container{Name: "c", Token: "t"}, Next: &store.Container{Name: "n"},
	}
	first := store.Context{ID: "b", Language: "python", CreatedAt: born}
	require.NoError(t, s.PutContext(second))
	require.NoError(t, s.PutContext(first))
	require.NoError(t, s.PutContext(store.Context{ID: "gone"}))
	require.NoError(t, s.DeleteContext("gone"))
	require.NoError(t, s.DeleteContext("never there"))
	require.NoError(t, s.PutSandbox(store.Sandbox{Name: "default", UID: 7, CreatedAt: born}))
	instance := s.Instance()
	require.NoError(t, s.Close())

	s = mustOpen(t, dir)
	contexts, err := s.Contexts()
	require.NoError(t, err)
	require.Equal(t, []store.Context{first, second}, contexts, "in the order of creation")
	sandboxes, err := s.Sandboxes()
	require.NoError(t, err)
	require.Equal(t, []store.Sandbox{{Name: "default", UID: 7, CreatedAt: born}}, sandboxes)
	require.Equal(t, instance, s.Instance())
	require.Empty(t, s.SetAside())
}

func TestOpenRefusesADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir)
	_, err := store.Open(dir)
	require.ErrorIs(t, err, store.ErrInUse)
}

func TestF8OpenRefusesANewerSchema(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, mustOpenAndClose(dir))
	db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{99})
	}))
	require.NoError(t, db.Close())
	_, err = store.Open(dir)
	require.ErrorIs(t, err, store.ErrNewer)
	require.FileExists(t, filepath.Join(dir, "state.db"), "a newer store is left alone")
}

func TestF8OpenClaimsAnOlderSchema(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, mustOpenAndClose(dir))
	schema := func(change func(meta *bbolt.Bucket) error) (found []byte) {
		db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
			found = bytes.Clone(tx.Bucket([]byte("meta")).Get([]byte("schema")))
			return change(tx.Bucket([]byte("meta")))
		}))
		return found
	}
	current := schema(func(meta *bbolt.Bucket) error { return meta.Put([]byte("schema"), []byte{0}) })
	require.NoError(t, mustOpenAndClose(dir))
	require.Equal(t, current, schema(func(*bbolt.Bucket) error { return nil }), "an older program would take it for its own")
}

func mustOpenAndClose(dir string) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	return s.Close()
}

func TestCorruptStoreIsSetAside(t *testing.T) {
	whole := func(t *testing.T) (string, []byte) {
		t.Helper()
		dir := t.TempDir()
		s, err := store.Open(dir)
		require.NoError(t, err)
		require.NoError(t, s.PutContext(store.Context{ID: "a", Language: string(bytes.Repeat([]byte("x"), 9000))}))
		require.NoError(t, s.Close())
		raw, err := os.ReadFile(filepath.Join(dir, "state.db"))
		require.NoError(t, err)
		return dir, raw
	}
	for name, damage := range map[string]func([]byte) []byte{
		"garbage":       func(b []byte) []byte { return bytes.Repeat([]byte("garbage!"), len(b)/8) },
		"zeroed pages":  func(b []byte) []byte { return append(b[:8192:8192], make([]byte, len(b)-8192)...) },
		"truncated":     func(b []byte) []byte { return b[:len(b)/2] },
		"half a page":   func(b []byte) []byte { return b[:2048] },
		"one page":      func(b []byte) []byte { return b[:os.Getpagesize()] },
		"broken record": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`{"ID":"a"`), []byte(`{"ID":!a"`)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, raw := whole(t)
			before := mustInstance(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "state.db"), damage(raw), 0o600))
			s := mustOpen(t, dir)
			require.NotEmpty(t, s.SetAside())
			require.FileExists(t, s.SetAside())
			contexts, err := s.Contexts()
			require.NoError(t, err)
			require.Empty(t, contexts)
			require.Equal(t, before, s.Instance(), "what the engine holds is still ours")
		})
	}
}

func TestStoreThatCannotBeOpenedStays(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir)
	require.NoError(t, err)
	require.NoError(t, s.PutContext(store.Context{ID: "a"}))
	require.NoError(t, s.Close())
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: files.Max}))
	_, err = store.Open(dir)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files))
	require.ErrorIs(t, err, syscall.EMFILE)

	s = mustOpen(t, dir)
	require.Empty(t, s.SetAside())
	contexts, err := s.Contexts()
	require.NoError(t, err)
	require.Len(t, contexts, 1)
}

func mustInstance(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "instance"))
	require.NoError(t, err)
	return string(bytes.TrimSpace(raw))
}
