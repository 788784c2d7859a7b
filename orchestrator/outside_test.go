package orchestrator_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
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
			h.engine.Hook(enginetest.Hooks{Attach: func() error { return orchestrator.ErrEngine }})
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

// rival makes a second container that claims a context, as a server leaves it that died before it recorded that.
func (h *house) rival(id string, generation int, code string) string {
	h.t.Helper()
	container, err := h.engine.Start(h.t.Context(), orchestrator.ContainerSpec{Name: "rival"})
	require.NoError(h.t, err)
	stream, err := h.engine.Attach(h.t.Context(), container)
	require.NoError(h.t, err)
	done := make(chan struct{})
	conn, err := kernel.Open(h.t.Context(), stream, func(ev kernel.Event) {
		if ev.Type == kernel.TypeDone {
			close(done)
		}
	})
	require.NoError(h.t, err)
	require.NoError(h.t, conn.Claim(h.t.Context(), kernel.Request{
		Token: "other", ID: id, Generation: generation, Cwd: "/tmp",
		Meta: map[string]string{"instance": h.store.Instance(), "id": id, "language": "python", "cwd": "/tmp"},
	}))
	if code != "" {
		require.NoError(h.t, conn.Send(kernel.Request{Op: kernel.OpExecute, ID: "1", Code: code}))
		<-done
	}
	require.NoError(h.t, conn.Close())
	return container
}

func TestTwoClaimants(t *testing.T) {
	for name, tc := range map[string]struct {
		generation int
		code       string
		corrupt    bool
		want       string
		left       int
	}{
		"the higher generation wins":                       {generation: 2, code: "set x rival", want: "=rival", left: 1},
		"of one generation that of the record wins":        {generation: 1, code: "set x rival", want: "=mine", left: 1},
		"of one generation, unknown, the older wins":       {generation: 1, code: "set x rival", corrupt: true, want: "=mine", left: 2},
		"of a higher generation, unknown, nothing is lost": {generation: 2, code: "set x rival", corrupt: true, want: "=rival", left: 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			h.run(id, "set x mine")
			h.rival(id, tc.generation, tc.code)
			if tc.corrupt {
				h.corrupt()
			} else {
				h.reopen()
			}
			require.Equal(t, fine(tc.want), h.run(id, "get x"))
			require.Eventually(t, func() bool { return len(h.containers()) == tc.left }, soon, time.Millisecond)
			h.reopen()
			require.Equal(t, fine(tc.want), h.run(id, "get x"), "and stays")
			require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
		})
	}
	t.Run("a generation that was declared lost stays lost", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x 1")
		h.crash(func(r *store.Context) {
			r.Lost, r.Loss = "unreachable", r.Loss.Happened(1, "unreachable", time.Now().UTC()).Tell(1)
		})
		require.Equal(t, orchestrator.StateLost, h.get(id).State)
		require.Equal(t, bad("!NameError"), h.run(id, "get x"))
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
	})
}

func TestRestoredStore(t *testing.T) {
	// restored has the next server find the store as it was when the copy was made.
	restored := func(h *house, change func()) {
		h.close()
		path := filepath.Join(h.dir, "state.db")
		older, err := os.ReadFile(path)
		require.NoError(h.t, err)
		h.open(orchestrator.Config{})
		change()
		h.close()
		require.NoError(h.t, os.WriteFile(path, older, 0o600))
		h.open(orchestrator.Config{})
	}
	t.Run("of contexts that were restarted, created and removed since", func(t *testing.T) {
		h := newHouse(t)
		moved, removed := h.create(), h.create()
		var made string
		restored(h, func() {
			for range 3 {
				_, err := h.Restart(t.Context(), moved)
				require.NoError(t, err)
			}
			h.run(moved, "set x 4")
			made = h.create()
			h.run(made, "set x 5")
			require.NoError(t, h.Remove(t.Context(), removed))
		})
		require.Equal(t, 4, h.get(moved).Generation)
		require.Equal(t, fine("=4"), h.run(moved, "get x"))
		require.Equal(t, fine("=5"), h.run(made, "get x"))
		require.Equal(t, orchestrator.StateLost, h.get(removed).State)
		for range 2 {
			_, err := h.Restart(t.Context(), moved)
			require.NoError(t, err)
			h.reopen()
		}
		require.Equal(t, 6, h.get(moved).Generation)
		require.Eventually(t, func() bool { return len(h.containers()) == 2 }, soon, time.Millisecond)
	})
	t.Run("from the middle of a creation that was carried out", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x 1")
		h.crash(func(r *store.Context) { r.Ready = false })
		require.Equal(t, fine("=1"), h.run(id, "get x"), "it was used, so its creation was acknowledged")
		h.reopen()
		require.Equal(t, fine("=1"), h.run(id, "get x"))
	})
}

func TestImagesAreAskedForOncePerLanguage(t *testing.T) {
	h := newHouse(t)
	for range 5 {
		h.create()
	}
	h.close()
	var asked atomic.Int64
	h.engine.Hook(enginetest.Hooks{Image: func() error { asked.Add(1); return nil }})
	h.open(orchestrator.Config{})
	require.EqualValues(t, 1, asked.Load())
}

func TestDefaultContextThatIsRemovedMeanwhileHasASuccessor(t *testing.T) {
	h := newHouse(t)
	var removed atomic.Bool
	h.engine.Hook(enginetest.Hooks{Setup: func() error {
		if removed.CompareAndSwap(false, true) {
			go func() { // while the request that has it made waits
				for {
					list, err := h.List(context.Background())
					if err == nil && len(list) > 0 {
						_ = h.Remove(context.Background(), list[0].ID)
						return
					}
				}
			}()
		}
		return nil
	}})
	for range 50 {
		removed.Store(false)
		e, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Code: "print hi"})
		if !errors.Is(err, orchestrator.ErrNotFound) { // it may happen twice in a row
			require.NoError(t, err)
			require.Contains(t, []told{fine("hi\n"), {"", kernel.EndingRemoved, kernel.StateLost}}, h.listen(e))
		}
	}
}
