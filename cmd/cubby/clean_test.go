package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/store"
)

// lived returns a state directory whose server has run and left a context, and that server's instance.
func lived(t *testing.T) (dir, instance string) {
	t.Helper()
	dir = t.TempDir()
	state, err := store.Open(dir)
	require.NoError(t, err)
	require.NoError(t, state.PutContext(store.Context{ID: "left"}))
	instance = state.Instance()
	require.NoError(t, state.Close())
	return dir, instance
}

// records returns the contexts of a state directory.
func records(t *testing.T, dir string) []store.Context {
	t.Helper()
	state, err := store.Open(dir)
	require.NoError(t, err)
	defer state.Close()
	contexts, err := state.Contexts()
	require.NoError(t, err)
	return contexts
}

func TestClean(t *testing.T) {
	littered := func(t *testing.T) *cli {
		t.Helper()
		c := newCLI(t)
		c.engine.removed = docker.Removed{Containers: 3, Volumes: 2, Images: 1}
		return c
	}
	t.Run("removes what the server of the state directory made, and unused images", func(t *testing.T) {
		c := littered(t)
		dir, instance := lived(t)
		require.Equal(t, "removed 3 containers, 2 volumes, 1 images\n", c.ok("clean", "--yes", "--state-dir", dir))
		require.Equal(t, []string{"instance " + instance, "stages cubby.stage", "unused images but cubby.added"}, c.engine.cleaned)
		require.Empty(t, records(t, dir))
	})
	t.Run("keeps all images with --keep-images", func(t *testing.T) {
		c := littered(t)
		dir, instance := lived(t)
		require.Equal(t, "removed 3 containers, 2 volumes, 0 images\n", c.ok("clean", "--yes", "--keep-images", "--state-dir", dir))
		require.Equal(t, []string{"instance " + instance}, c.engine.cleaned)
		require.Empty(t, records(t, dir))
	})
	t.Run("where no server has run, removes images only, and makes nothing", func(t *testing.T) {
		c := littered(t)
		dir := filepath.Join(t.TempDir(), "state")
		require.Equal(t, "removed 0 containers, 0 volumes, 1 images\n", c.ok("clean", "--yes", "--state-dir", dir))
		require.Equal(t, []string{"stages cubby.stage", "unused images but cubby.added"}, c.engine.cleaned)
		require.NoDirExists(t, dir)
	})
	t.Run("refuses while the server runs", func(t *testing.T) {
		c := littered(t)
		dir, _ := lived(t)
		state, err := store.Open(dir)
		require.NoError(t, err)
		code, _, stderr := c.run("clean", "--yes", "--state-dir", dir)
		require.NoError(t, state.Close())
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "stop that one first")
		require.Empty(t, c.engine.cleaned)
	})
	t.Run("what could not be removed stays on record, and images go all the same", func(t *testing.T) {
		c := littered(t)
		c.engine.removeErr = orchestrator.ErrConflict
		dir, _ := lived(t)
		code, stdout, stderr := c.run("clean", "--yes", "--state-dir", dir)
		require.Equal(t, exitFault, code)
		require.Contains(t, stdout, "1 images")
		require.Contains(t, stderr, orchestrator.ErrConflict.Error())
		require.Len(t, records(t, dir), 1)
	})
	t.Run("--all removes what every server made", func(t *testing.T) {
		c := littered(t)
		dir, _ := lived(t)
		require.Equal(t, "removed 3 containers, 2 volumes, 1 images\n", c.ok("clean", "--all", "--yes", "--state-dir", dir))
		require.Equal(t, []string{"all", "stages cubby.stage"}, c.engine.cleaned)
		require.Len(t, records(t, dir), 1, "a server can be using it")
	})
	t.Run("says what it would remove", func(t *testing.T) {
		for flag, want := range map[string]string{"--state-dir=/state": "the state directory /state", "--all": "all cubby servers"} {
			c := littered(t)
			code, _, stderr := c.run("clean", flag)
			require.Equal(t, exitFault, code)
			require.Contains(t, stderr, want)
			require.Empty(t, c.engine.cleaned)
		}
	})
}
