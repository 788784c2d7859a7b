package orchestrator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
)

var (
	fine = func(text string) told { return told{text, kernel.EndingOK, kernel.StatePreserved} }
	bad  = func(text string) told { return told{text, kernel.EndingError, kernel.StatePreserved} }
)

func TestContextsKeepTheirStateApart(t *testing.T) {
	h := newHouse(t)
	a, b := h.create(), h.create()
	require.Equal(t, fine(""), h.run(a, "set x 1"))
	require.Equal(t, fine("=1"), h.run(a, "get x"))
	require.Equal(t, bad("!NameError"), h.run(b, "get x"))
	list, err := h.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{a, b}, []string{list[0].ID, list[1].ID}, "in the order of creation")
}

func TestCreate(t *testing.T) {
	t.Run("defaults", func(t *testing.T) {
		h := newHouse(t)
		cc := h.get(h.create())
		require.Equal(t, "python", cc.Language)
		require.Equal(t, "/home/user", cc.Cwd)
		require.Equal(t, 1, cc.Generation)
		require.Equal(t, orchestrator.StateReady, cc.State)
	})
	t.Run("as asked", func(t *testing.T) {
		h := newHouse(t)
		cc, err := h.Create(t.Context(), orchestrator.CreateRequest{Language: " PY ", Cwd: "/tmp", Env: map[string]string{"K": "a\"'\n\u2028"}})
		require.NoError(t, err)
		require.Equal(t, "python", cc.Language)
		require.Equal(t, fine("=/tmp"), h.run(cc.ID, "cwd"))
		require.Contains(t, h.run(cc.ID, "env K").text, "=a")
	})
	for name, tc := range map[string]struct {
		req   orchestrator.CreateRequest
		broke func(*enginetest.Engine)
		kind  error
	}{
		"unknown language": {req: orchestrator.CreateRequest{Language: "cobol"}, kind: orchestrator.ErrUnknownLanguage},
		"relative cwd":     {req: orchestrator.CreateRequest{Cwd: "tmp"}, kind: orchestrator.ErrInvalid},
		"cwd with NUL":     {req: orchestrator.CreateRequest{Cwd: "/a\x00"}, kind: orchestrator.ErrInvalid},
		"missing cwd":      {req: orchestrator.CreateRequest{Cwd: "/missing/x"}, kind: orchestrator.ErrInvalid},
		"env without name": {req: orchestrator.CreateRequest{Env: map[string]string{"": "x"}}, kind: orchestrator.ErrInvalid},
		"env with =":       {req: orchestrator.CreateRequest{Env: map[string]string{"A=B": "x"}}, kind: orchestrator.ErrInvalid},
		"too large an env": {req: orchestrator.CreateRequest{Env: map[string]string{"A": strings.Repeat("x", orchestrator.MaxEnv)}}, kind: orchestrator.ErrTooLarge},
		"no image": {
			broke: func(e *enginetest.Engine) {
				e.Hook(enginetest.Hooks{Image: func() error { return orchestrator.ErrImageMissing }})
			},
			kind: orchestrator.ErrImageMissing,
		},
		"engine down": {
			broke: func(e *enginetest.Engine) {
				e.Hook(enginetest.Hooks{Start: func() error { return orchestrator.ErrEngine }})
			},
			kind: orchestrator.ErrEngine,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if tc.broke != nil {
				tc.broke(h.engine)
			}
			_, err := h.Create(t.Context(), tc.req)
			require.ErrorIs(t, err, tc.kind)
			h.requireNothing()
		})
	}
	t.Run("a broken image is named with its reason, leaves nothing, and the other languages go on", func(t *testing.T) {
		h := newHouse(t)
		h.engine.Hook(enginetest.Hooks{Boot: func(image string) error {
			if image == "sha256:other" {
				return errors.New("kernel exited: exit status 1: no such gem")
			}
			return nil
		}})
		_, err := h.Create(t.Context(), orchestrator.CreateRequest{Language: "other"})
		require.ErrorIs(t, err, orchestrator.ErrNoBoot)
		require.ErrorContains(t, err, "image cubby-other of other")
		require.ErrorContains(t, err, "no such gem")
		h.requireNothing()
		_, err = h.Execute(t.Context(), orchestrator.ExecuteRequest{Language: "other", Code: "print a"})
		require.ErrorIs(t, err, orchestrator.ErrNoBoot)
		h.requireNothing()
		require.Equal(t, fine("=/home/user"), h.run(h.create(), "cwd"))
	})
	t.Run("an image that is removed meanwhile fails new contexts only", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Hook(enginetest.Hooks{Image: func() error { return orchestrator.ErrImageMissing }})
		_, err := h.Create(t.Context(), orchestrator.CreateRequest{})
		require.ErrorIs(t, err, orchestrator.ErrImageMissing)
		require.Equal(t, fine("=/home/user"), h.run(id, "cwd"))
	})
	t.Run("the client leaves at any step", func(t *testing.T) {
		for name, leaveAt := range map[string]func(*enginetest.Engine, func()){
			"start": func(e *enginetest.Engine, leave func()) {
				e.Hook(enginetest.Hooks{Start: func() error { leave(); return nil }})
			},
			"attach": func(e *enginetest.Engine, leave func()) {
				e.Hook(enginetest.Hooks{Attach: func() error { leave(); return nil }})
			},
		} {
			t.Run(name, func(t *testing.T) {
				h := newHouse(t)
				ctx, leave := context.WithCancel(t.Context())
				leaveAt(h.engine, leave)
				_, err := h.Create(ctx, orchestrator.CreateRequest{})
				require.Error(t, err)
				h.requireNothing()
			})
		}
	})
}

// requireNothing holds that no context, container or record is there.
func (h *house) requireNothing() {
	h.t.Helper()
	list, err := h.List(h.t.Context())
	require.NoError(h.t, err)
	require.Empty(h.t, list)
	require.Empty(h.t, h.containers())
	records, err := h.store.Contexts()
	require.NoError(h.t, err)
	require.Empty(h.t, records)
}

func TestCapacityIsNeverExceeded(t *testing.T) {
	h := newHouse(t)
	h.close()
	h.open(orchestrator.Config{MaxContexts: 3})
	var wg sync.WaitGroup
	refused := make(chan error, 20)
	for range 20 {
		wg.Go(func() {
			if _, err := h.Create(t.Context(), orchestrator.CreateRequest{}); err != nil {
				refused <- err
			}
		})
	}
	wg.Wait()
	require.Len(t, h.containers(), 3)
	require.Len(t, refused, 17)
	require.ErrorIs(t, <-refused, orchestrator.ErrCapacity)
}

func TestDefaultContexts(t *testing.T) {
	h := newHouse(t)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			e, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Code: "set x 1"})
			if err != nil {
				t.Error(err)
				return
			}
			h.listen(e)
		})
	}
	wg.Wait()
	require.Len(t, h.containers(), 1, "one default context, however many ask at once")
	e, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Language: "py", Code: "get x"})
	require.NoError(t, err)
	require.Equal(t, fine("=1"), h.listen(e), "python's default context is the default context")
	e, err = h.Execute(t.Context(), orchestrator.ExecuteRequest{Language: "other", Code: "get x"})
	require.NoError(t, err)
	require.Equal(t, bad("!NameError"), h.listen(e))

	list, err := h.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.NoError(t, h.Remove(t.Context(), list[0].ID))
	e, err = h.Execute(t.Context(), orchestrator.ExecuteRequest{Code: "get x"})
	require.NoError(t, err)
	require.Equal(t, bad("!NameError"), h.listen(e), "a removed default context has a successor")
}
