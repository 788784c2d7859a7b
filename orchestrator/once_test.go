package orchestrator_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestRunOnce(t *testing.T) {
	collect := func(ctx context.Context, h *house, code string) ([]kernel.EventType, kernel.Ending, error) {
		var types []kernel.EventType
		var ending kernel.Ending
		err := orchestrator.RunOnce(ctx, h.engine, orchestrator.OnceRequest{Code: code}, func(ev orchestrator.Event) error {
			types, ending = append(types, ev.Type), ev.Ending
			return nil
		})
		return types, ending, err
	}
	t.Run("runs and leaves nothing", func(t *testing.T) {
		h := newHouse(t)
		types, ending, err := collect(t.Context(), h, "print hi")
		require.NoError(t, err)
		require.Equal(t, []kernel.EventType{kernel.TypeStarted, kernel.TypeStdout, kernel.TypeDone}, types)
		require.Equal(t, kernel.EndingOK, ending)
		require.Empty(t, h.containers())
	})
	t.Run("is interrupted when its context ends", func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-h.engine.Waiting("g"); cancel() }()
		_, ending, err := collect(ctx, h, "gate g")
		require.NoError(t, err)
		require.Equal(t, kernel.EndingInterrupted, ending)
		require.Empty(t, h.containers())
	})
	t.Run("says how a dead kernel ended", func(t *testing.T) {
		h := newHouse(t)
		_, ending, err := collect(t.Context(), h, "die")
		require.NoError(t, err)
		require.Equal(t, kernel.EndingCrashed, ending)
	})
	t.Run("refuses a working directory that does not do", func(t *testing.T) {
		h := newHouse(t)
		req := orchestrator.OnceRequest{Code: "cwd", Cwd: "/missing"}
		err := orchestrator.RunOnce(t.Context(), h.engine, req, func(orchestrator.Event) error { return nil })
		require.ErrorIs(t, err, orchestrator.ErrInvalid)
		require.Empty(t, h.containers())
	})
	t.Run("stops when its reader fails", func(t *testing.T) {
		h := newHouse(t)
		broken := errors.New("broken pipe")
		err := orchestrator.RunOnce(t.Context(), h.engine, orchestrator.OnceRequest{Code: "hang"}, func(orchestrator.Event) error { return broken })
		require.ErrorIs(t, err, broken)
		require.Empty(t, h.containers())
	})
}
