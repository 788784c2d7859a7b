//go:build integration

package abusetest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestF9TwoServers: two servers with state directories of their own share an engine and nothing else.
func TestF9TwoServers(t *testing.T) {
	one, two := startServer(t), startServer(t)
	arenas := []*arena{newArena(t, one), newArena(t, two)}
	for range 3 {
		one.crash(t)
		two.crash(t)
		for i, a := range arenas {
			require.ElementsMatch(t, []string{a.attacked, a.neighbour}, a.ids(t))
			a.requireIntact(t, a.attacked)
			a.requireIntact(t, a.neighbour)
			other := arenas[1-i]
			_, err := a.client.Get(patient(t), other.attacked)
			require.ErrorContains(t, err, "not found")
			require.ErrorContains(t, a.client.Remove(patient(t), other.attacked), "not found")
		}
	}
	containers, volumes := one.onEngine(t)
	require.Len(t, containers, 2)
	require.Len(t, volumes, 1)
}

// serveAgain starts a second server on the state directory, at an address of its own, and returns how that ended.
func (s *server) serveAgain(t *testing.T) (code int, said string) {
	t.Helper()
	return command(t, program, "serve", "--listen", "127.0.0.1:0", "--state-dir", s.state)
}

// TestStateDirectory: it is one server's at a time, and what becomes of it hurts no context.
func TestStateDirectory(t *testing.T) {
	s := startServer(t)
	t.Run("F10 a second server", func(t *testing.T) {
		a := newArena(t, s)
		stop := a.watch(t)
		code, said := s.serveAgain(t)
		require.NotZero(t, code)
		require.Contains(t, said, "in use")
		require.Contains(t, said, strconv.Itoa(s.pid()))
		a.requireIntact(t, a.attacked)
		stop()
		a.crash(t) // the positive control: the lock goes with its process, however that ends
		a.requireIntact(t, a.attacked)
	})
	t.Run("F12 moved away while it is used", func(t *testing.T) { moveState(t, newArena(t, s), false) })
	t.Run("F12 replaced while it is used", func(t *testing.T) { moveState(t, newArena(t, s), true) })
}

// moveState moves the state directory away, and puts an empty one in its place if asked to. Contexts live on; what would
// have to be written fails loudly, and is not acted on.
func moveState(t *testing.T, a *arena, replace bool) {
	stop := a.watch(t)
	elsewhere := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.Rename(a.state, elsewhere))
	moved := true
	restore := func() {
		if moved {
			moved = false
			require.NoError(t, os.RemoveAll(a.state))
			require.NoError(t, os.Rename(elsewhere, a.state))
		}
	}
	defer restore()
	if replace {
		require.NoError(t, os.Mkdir(a.state, 0o700))
		for _, name := range []string{"state.db", "instance"} {
			require.NoError(t, os.WriteFile(filepath.Join(a.state, name), nil, 0o600))
		}
	}
	_, err := a.client.Create(patient(t), wire.CreateContext{})
	require.Error(t, err)
	require.Error(t, a.client.Restart(patient(t), a.attacked))
	require.Error(t, a.client.Remove(patient(t), a.attacked))
	for _, id := range []string{a.attacked, a.neighbour} {
		a.requireIntact(t, id)
	}
	require.ElementsMatch(t, []string{a.attacked, a.neighbour}, a.ids(t))
	require.Equal(t, a.box.id, a.container(t, a.attacked).id)
	log, err := os.ReadFile(a.log)
	require.NoError(t, err)
	require.Contains(t, string(log), "state directory was moved")
	restore()

	// The positive control: all of it works again as soon as the directory is back.
	id := a.create(t)
	a.remove(t, id)
	a.restart(t, a.attacked)
	require.Equal(t, "NameError", a.run(t, a.attacked, "x").errName)
	stop()
	a.crash(t)
	require.ElementsMatch(t, []string{a.attacked, a.neighbour}, a.ids(t))
	a.requireIntact(t, a.neighbour)
	a.box.requireGone(t)
	a.box = a.container(t, a.attacked)
	containers, _ := a.onEngine(t)
	require.Len(t, containers, 2)
}
