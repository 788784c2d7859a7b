package orchestrator_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
)

// requireLossTold holds that the next execution tells of a loss, once, and that then the context goes on.
func (h *house) requireLossTold(id string, generation int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.get(id).Generation == generation }, 6*soon, 10*time.Millisecond)
	require.Equal(h.t, told{"", kernel.EndingLost, kernel.StateLost}, h.run(id, "print never"), "unrun")
	require.Equal(h.t, fine("hi\n"), h.run(id, "print hi"))
}

func TestIdleKernelDeathIsTold(t *testing.T) {
	t.Run("by the next execution", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Crash(h.get(id).Container)
		h.requireLossTold(id, 2)
	})
	t.Run("also after a death that a restart has overtaken", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		dying := h.start(id, "gate g\ndie")
		h.engine.Hook(enginetest.Hooks{Start: func() error {
			h.engine.Open("g")
			h.listen(dying)
			return nil
		}})
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		h.engine.Hook(enginetest.Hooks{})
		h.engine.Crash(h.get(id).Container)
		h.requireLossTold(id, 3)
	})
}

func TestAdoptedExecutionTellsNobodyOfALoss(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	h.start(id, "gate g\ndie")
	h.reached("g")
	h.reopen()
	h.engine.Open("g")
	h.requireLossTold(id, 2)
}

func TestExecutionWhoseReaderHasLeftTellsNobodyOfALoss(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	abandoned := h.start(id, "gate g\ndie")
	h.reached("g")
	left, leave := context.WithCancel(t.Context())
	leave()
	abandoned.Discard(left)
	h.engine.Open("g")
	h.requireLossTold(id, 2)
}

func TestLossWhoseReaderHasLeftIsToldAgain(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	for generation := 2; generation <= 3; generation++ { // each loss is
		h.engine.Crash(h.get(id).Container)
		require.Eventually(t, func() bool { return h.get(id).Generation == generation }, soon, time.Millisecond)
		h.start(id, "print never").Discard(t.Context())
		h.requireLossTold(id, generation)
	}
	h.engine.Crash(h.get(id).Container)
	require.Eventually(t, func() bool { return h.get(id).Generation == 4 }, soon, time.Millisecond)
	h.start(id, "print never")
	h.reopen() // before anybody has read that
	h.requireLossTold(id, 4)
}

// A container at its process limit runs and takes no bridge.
func TestContainerThatTakesNoBridgeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		old := h.get(id).Container
		var intruded, replacing atomic.Bool
		inUse := 0
		h.engine.Hook(enginetest.Hooks{
			Attach: func() error {
				if replacing.Load() || intruded.CompareAndSwap(false, true) {
					return nil
				}
				return errors.New("resource temporarily unavailable")
			},
			Start: func() error { replacing.Store(true); return nil },
			Remove: func() error {
				inUse = max(inUse, h.get(id).Generation)
				h.engine.Hook(enginetest.Hooks{})
				return nil
			},
		})
		intruder, err := h.engine.Attach(t.Context(), old) // the newest attach fences ours off
		require.NoError(t, err)
		began := time.Now()
		h.requireLossTold(id, 2)
		require.Greater(t, time.Since(began), 10*time.Second)
		require.Equal(t, 1, inUse, "what cannot be stopped is gone before its successor is in use")
		require.NoError(t, intruder.Close())
	})
}

func TestRestartThatCannotBeRecordedIsALoss(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	h.engine.Hook(enginetest.Hooks{Start: func() error { return h.store.Close() }})
	_, err := h.Restart(t.Context(), id)
	require.Error(t, err)
	require.Equal(t, orchestrator.StateLost, h.get(id).State)
	require.Eventually(t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond, "neither stays behind")
}

func TestContainerThatCannotBeRemovedAtOnceIsRemovedLater(t *testing.T) {
	broken := func(h *house) {
		var refused atomic.Bool
		h.engine.Hook(enginetest.Hooks{
			Attach: func() error { return orchestrator.ErrEngine },
			Remove: func() error {
				if refused.CompareAndSwap(false, true) {
					return orchestrator.ErrEngine
				}
				return nil
			},
		})
	}
	t.Run("after a creation that failed", func(t *testing.T) {
		h := newHouse(t)
		broken(h)
		_, err := h.Create(t.Context(), orchestrator.CreateRequest{})
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Eventually(t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond)
		require.Eventually(t, func() bool { records, err := h.store.Contexts(); return err == nil && len(records) == 0 }, soon, time.Millisecond)
	})
	t.Run("of which whoever asked for the context hears nothing", func(t *testing.T) {
		h := newHouse(t)
		h.engine.Hook(enginetest.Hooks{Remove: func() error { return orchestrator.ErrEngine }})
		_, err := h.Create(t.Context(), orchestrator.CreateRequest{Cwd: "/missing/x"})
		require.ErrorIs(t, err, orchestrator.ErrInvalid)
		require.NotErrorIs(t, err, orchestrator.ErrEngine)
		h.engine.Hook(enginetest.Hooks{})
		require.Eventually(t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond)
	})
	t.Run("after a restart that failed", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		broken(h)
		_, err := h.Restart(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
	t.Run("after a restart that failed, by the next server", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Hook(enginetest.Hooks{
			Attach: func() error { return orchestrator.ErrEngine },
			Remove: func() error { return orchestrator.ErrEngine },
		})
		_, err := h.Restart(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		h.close()
		h.engine.Hook(enginetest.Hooks{})
		h.open(orchestrator.Config{})
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
	t.Run("and keeps no server from starting", func(t *testing.T) {
		h := newHouse(t)
		h.create()
		h.engine.Hook(enginetest.Hooks{Remove: func() error { return orchestrator.ErrEngine }})
		require.ErrorIs(t, h.RemoveAll(t.Context()), orchestrator.ErrEngine)
		h.reopen()
		h.engine.Hook(enginetest.Hooks{})
		require.Eventually(t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond)
	})
}
