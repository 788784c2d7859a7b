package orchestrator_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

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
	t.Run("of one generation that of the record wins, though it is younger", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x mine")
		h.rival(id, 1, "set x rival")
		h.crash(func(r *store.Context) { r.Container = store.Container{Name: "rival"} })
		require.Equal(t, fine("=rival"), h.run(id, "get x"))
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
	})
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
