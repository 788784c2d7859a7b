package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/store"
)

func TestDirectoryMovedAway(t *testing.T) {
	for name, spoil := range map[string]func(dir, elsewhere string) error{
		"F12 moved": os.Rename,
		"F12 replaced": func(dir, elsewhere string) error {
			if err := os.Rename(dir, elsewhere); err != nil {
				return err
			}
			return mustOpenAndClose(dir)
		},
	} {
		t.Run(name+", nothing is written until it is back", func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			s := mustOpen(t, dir)
			require.NoError(t, s.PutContext(store.Context{ID: "a"}))
			require.NoError(t, spoil(dir, elsewhere))
			require.ErrorIs(t, s.PutContext(store.Context{ID: "b"}), store.ErrMoved)
			require.ErrorIs(t, s.PutSandbox(store.Sandbox{Name: "b"}), store.ErrMoved)
			require.ErrorIs(t, s.DeleteContext("a"), store.ErrMoved)

			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.Rename(elsewhere, dir))
			require.NoError(t, s.PutContext(store.Context{ID: "b"}))
			contexts, err := s.Contexts()
			require.NoError(t, err)
			require.Equal(t, []store.Context{{ID: "a"}, {ID: "b"}}, contexts)
		})
	}
}
