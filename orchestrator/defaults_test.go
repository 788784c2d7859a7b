package orchestrator_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
)

// withDefaults is a server that is to have default contexts from its start.
var withDefaults = orchestrator.Config{DefaultContexts: []string{"python", "other"}}

// listed returns the contexts that are listed.
func (h *house) listed() []orchestrator.CodeContext {
	h.t.Helper()
	list, err := h.List(h.t.Context())
	require.NoError(h.t, err)
	return list
}

func TestDefaultContextsFromTheStart(t *testing.T) {
	t.Run("are listed before they are made, and waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.close()
			held := make(chan struct{})
			h.engine.Hook(enginetest.Hooks{Start: func() error { <-held; return nil }})
			h.open(withDefaults)
			list := h.listed()
			require.Len(t, list, 2)
			for _, cc := range list {
				require.Equal(t, orchestrator.StateStarting, cc.State)
			}
			e := h.starting(list[1].ID, "print hi")
			synctest.Wait()
			require.Empty(t, e, "it is not made yet")
			close(held)
			require.Equal(t, fine("hi\n"), h.listen(<-e))
			byLanguage, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Language: list[1].Language, Code: "print again"})
			require.NoError(t, err)
			require.Equal(t, list[1].ID, byLanguage.Context)
			require.Equal(t, fine("again\n"), h.listen(byLanguage))
			require.Len(t, h.containers(), 2)
		})
	})
	t.Run("stay those that an earlier server has left", func(t *testing.T) {
		h := newHouse(t)
		h.close()
		h.open(withDefaults)
		list := h.listed()
		for i, cc := range list {
			require.Equal(t, withDefaults.DefaultContexts[i], cc.Language)
			require.Equal(t, fine("hi\n"), h.run(cc.ID, "print hi"))
		}
		h.close()
		h.open(withDefaults)
		for i, cc := range h.listed() {
			require.Equal(t, list[i].ID, cc.ID)
		}
		require.Len(t, h.containers(), 2)
	})
	t.Run("that cannot be made are gone, and made when they are needed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.close()
			held := make(chan struct{})
			h.engine.Hook(enginetest.Hooks{Start: func() error { <-held; return errors.New("no space") }})
			h.open(withDefaults)
			id := h.listed()[0].ID
			waiting := make(chan error, 1)
			go func() {
				_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: "print hi"})
				waiting <- err
			}()
			synctest.Wait()
			close(held)
			require.ErrorIs(t, <-waiting, orchestrator.ErrNotFound)
			synctest.Wait()
			require.Empty(t, h.listed())
			h.engine.Hook(enginetest.Hooks{})
			e, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Code: "print hi"})
			require.NoError(t, err)
			require.Equal(t, fine("hi\n"), h.listen(e))
		})
	})
	t.Run("may be removed while they are made", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.close()
			held := make(chan struct{})
			h.engine.Hook(enginetest.Hooks{Start: func() error { <-held; return nil }})
			h.open(orchestrator.Config{DefaultContexts: []string{"python"}, MaxContexts: 1})
			removed := make(chan error, 1)
			go func() { removed <- h.Remove(t.Context(), h.listed()[0].ID) }()
			synctest.Wait()
			close(held)
			require.NoError(t, <-removed)
			require.Empty(t, h.listed())
			require.Empty(t, h.containers())
			h.create() // its place is free
		})
	})
}
