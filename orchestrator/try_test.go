package orchestrator_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
)

func TestTryImage(t *testing.T) {
	try := func(t *testing.T, h *house) (string, error) {
		t.Helper()
		return orchestrator.TryImage(t.Context(), h.engine, orchestrator.Image{ID: "sha256:x"}, orchestrator.Limits{}, orchestrator.WideUIDs)
	}
	t.Run("tells the version and leaves nothing", func(t *testing.T) {
		h := newHouse(t)
		version, err := try(t, h)
		require.NoError(t, err)
		require.Equal(t, "1.0", version)
		require.Empty(t, h.containers())
	})
	t.Run("tells why a kernel does not boot, and leaves nothing", func(t *testing.T) {
		h := newHouse(t)
		h.engine.Hook(enginetest.Hooks{Boot: func(string) error { return errors.New("no such gem") }})
		_, err := try(t, h)
		require.ErrorIs(t, err, orchestrator.ErrNoBoot)
		require.ErrorContains(t, err, "no such gem")
		require.Empty(t, h.containers())
	})
}
