package orchestrator_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
)

func TestPausedContainer(t *testing.T) {
	t.Run("while idle: waited for, and as it was", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x 1")
			container := h.get(id).Container
			h.engine.Pause(container)
			time.Sleep(5 * time.Minute)
			require.Equal(t, container, h.get(id).Container, "it is not replaced")
			h.engine.Unpause(container)
			require.Equal(t, fine("=1"), h.run(id, "get x"))
		})
	})
	t.Run("while busy: the execution goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			running := h.start(id, "print a\ngate g\nprint b")
			h.reached("g")
			container := h.get(id).Container
			h.engine.Pause(container)
			time.Sleep(5 * time.Minute)
			h.engine.Open("g")
			time.Sleep(time.Minute)
			h.engine.Unpause(container)
			require.Equal(t, fine("a\nb\n"), h.listen(running))
		})
	})
	t.Run("when the server starts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x 1")
			container := h.get(id).Container
			h.close()
			h.engine.Pause(container)
			h.open(orchestrator.Config{})
			waiting := make(chan *orchestrator.Execution, 1)
			go func() { waiting <- h.start(id, "get x") }()
			time.Sleep(5 * time.Minute)
			h.engine.Unpause(container)
			require.Equal(t, fine("=1"), h.listen(<-waiting))
		})
	})
	t.Run("that no record knows is adopted once it answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x 1")
			container := h.get(id).Container
			h.engine.Pause(container)
			h.corrupt()
			time.Sleep(5 * time.Minute)
			_, err := h.Get(t.Context(), id)
			require.ErrorIs(t, err, orchestrator.ErrNotFound)
			h.engine.Unpause(container)
			time.Sleep(time.Minute)
			require.Equal(t, fine("=1"), h.run(id, "get x"))
		})
	})
	t.Run("takes no code that no frame holds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			container := h.get(id).Container
			h.close()
			h.engine.Pause(container)
			h.open(orchestrator.Config{})
			_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: strings.Repeat("\x01", orchestrator.MaxCode)})
			require.ErrorIs(t, err, orchestrator.ErrTooLarge)
			h.engine.Unpause(container)
			require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
		})
	})
	t.Run("of a context that is removed before it answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			paused := h.rival(id, 1, "set x rival")
			h.close()
			h.engine.Pause(paused)
			h.open(orchestrator.Config{})
			require.NoError(t, h.Remove(t.Context(), id))
			h.engine.Unpause(paused)
			time.Sleep(time.Minute)
			_, err := h.Get(t.Context(), id)
			require.ErrorIs(t, err, orchestrator.ErrNotFound, "it does not come back")
			require.Empty(t, h.containers())
		})
	})
	for name, end := range map[string]func(h *house, id string){
		"restarted": func(h *house, id string) {
			_, err := h.Restart(h.t.Context(), id)
			require.NoError(h.t, err)
			require.Equal(h.t, fine("hi\n"), h.run(id, "print hi"))
		},
		"removed": func(h *house, id string) { require.NoError(h.t, h.Remove(h.t.Context(), id)) },
	} {
		t.Run("can be "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.create()
				paused := h.get(id).Container
				h.engine.Pause(paused)
				end(h, id)
				require.Eventually(t, func() bool {
					for _, c := range h.containers() {
						if c.ID == paused {
							return false
						}
					}
					return true
				}, soon, time.Millisecond)
			})
		})
	}
}

// A container that can never be used again, and that no other can take the place of, is a loss that is told.
func TestUnreachableContainerWithoutAnImage(t *testing.T) {
	for name, refusal := range map[string]error{
		"of another version":   &kernel.VersionError{Protocol: 1},
		"that takes no bridge": errors.New("no pids are left"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.create()
				h.close()
				h.engine.Hook(enginetest.Hooks{
					Attach: func() error { return refusal },
					Image:  func() error { return orchestrator.ErrImageMissing },
				})
				h.open(orchestrator.Config{})
				time.Sleep(time.Minute)
				require.Contains(t, h.eventually(id, orchestrator.StateLost).Reason, "it could not be replaced")
				require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending)
				_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: "print a"})
				require.ErrorIs(t, err, orchestrator.ErrImageMissing)
				h.engine.Hook(enginetest.Hooks{})
				require.Equal(t, fine("b\n"), h.run(id, "print b"))
			})
		})
	}
}

func TestEngineRestart(t *testing.T) {
	t.Run("with live restore loses nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x 1")
			running := h.start(id, "print a\ngate g\nprint b")
			h.reached("g")
			h.engine.GoDown()
			h.engine.Open("g")
			time.Sleep(time.Minute)
			require.Equal(t, orchestrator.StateBusy, h.get(id).State, "nothing is known, so nothing is lost")
			h.engine.ComeUp(true)
			require.Equal(t, fine("a\nb\n"), h.listen(running))
			require.Equal(t, fine("=1"), h.run(id, "get x"))
			container := h.get(id).Container
			h.engine.Exit(container) // the engine's events are heard again
			require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending)
		})
	})
	t.Run("that refuses bridges for long after it is back loses nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x 1")
			h.engine.Hook(enginetest.Hooks{
				Attach: func() error { return orchestrator.ErrEngine },
				Start:  func() error { t.Error("a new container, though nothing is known of the old one"); return nil },
			})
			h.engine.GoDown()
			h.engine.ComeUp(true)
			time.Sleep(time.Minute)
			h.engine.Hook(enginetest.Hooks{})
			require.Equal(t, fine("=1"), h.run(id, "get x"))
		})
	})
	t.Run("without live restore is a loss that is told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			idle, busy := h.create(), h.create()
			running := h.start(busy, "gate g")
			h.reached("g")
			h.engine.GoDown()
			time.Sleep(time.Minute)
			h.engine.ComeUp(false)
			require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, h.listen(running))
			require.Equal(t, fine("hi\n"), h.run(busy, "print hi"))
			require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, h.run(idle, "print never"))
			require.Equal(t, fine("hi\n"), h.run(idle, "print hi"))
		})
	})
	t.Run("while no server runs", func(t *testing.T) {
		for alive, want := range map[bool]told{true: fine("=1"), false: {"", kernel.EndingLost, kernel.StateLost}} {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x 1")
			h.close()
			h.engine.GoDown()
			h.engine.ComeUp(alive)
			h.open(orchestrator.Config{})
			require.Equal(t, want, h.run(id, "get x"))
		}
	})
}
