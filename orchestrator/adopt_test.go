package orchestrator_test

import (
	"fmt"
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

func TestContextsOutliveTheServer(t *testing.T) {
	h := newHouse(t)
	a, b := h.create(), h.create()
	h.run(a, "set x 1")
	h.run(b, "set x 2")
	_, err := h.Restart(t.Context(), b)
	require.NoError(t, err)
	h.run(b, "set x 3")
	for range 3 {
		h.reopen()
		list, err := h.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{a, b}, []string{list[0].ID, list[1].ID})
		require.Equal(t, 2, list[1].Generation)
		require.Equal(t, fine("=1"), h.run(a, "get x"))
		require.Equal(t, fine("=3"), h.run(b, "get x"))
	}
	_, err = h.Restart(t.Context(), a)
	require.NoError(t, err)
	require.NoError(t, h.RemoveAll(t.Context()))
	require.Eventually(t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond)
}

func TestARunningExecutionOutlivesTheServer(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	h.start(id, "gate g\nset x 1")
	h.reached("g")
	h.reopen()
	h.eventually(id, orchestrator.StateBusy)
	h.engine.Open("g")
	require.Equal(t, fine("=1"), h.run(id, "get x"))
	h.eventually(id, orchestrator.StateReady)
}

func TestAdoptTellsTheTruth(t *testing.T) {
	t.Run("a container that is gone", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		container := h.get(id).Container
		h.close()
		require.NoError(t, h.engine.Remove(t.Context(), container))
		h.open(orchestrator.Config{})
		require.Equal(t, orchestrator.StateLost, h.get(id).State)
		h.reopen()
		require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, h.run(id, "print never"))
		h.reopen()
		require.Equal(t, orchestrator.StateLost, h.get(id).State)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"), "what was told once is not told again")
	})
	t.Run("a container that has ended", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		container := h.get(id).Container
		h.close()
		h.engine.Exit(container)
		h.open(orchestrator.Config{})
		require.Contains(t, h.get(id).Reason, "killed")
		require.Eventually(t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond)
	})
	t.Run("a container that somebody has restarted", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		container := h.get(id).Container
		h.close()
		h.engine.Restart(container)
		h.open(orchestrator.Config{})
		require.Contains(t, h.get(id).Reason, "restarted by somebody")
	})
	t.Run("a kernel that died meanwhile", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.start(id, "gate g\ndie")
		h.reached("g")
		h.close()
		h.engine.Open("g")
		h.open(orchestrator.Config{})
		require.Eventually(t, func() bool { return h.get(id).Generation == 2 }, soon, time.Millisecond)
		require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending, "nobody was told")
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
}

func TestKernelThatDiesDuringAdoptionIsReplaced(t *testing.T) {
	h := newHouse(t)
	ids := []string{h.create(), h.create()}
	for i, id := range ids {
		h.start(id, fmt.Sprintf("gate g%d\ngate die\ndie", i))
		h.engine.Open(fmt.Sprintf("g%d", i))
	}
	h.reached("die")
	h.close()
	var attached atomic.Int64
	h.engine.Hook(enginetest.Hooks{Attach: func() error {
		if attached.Add(1) == 2 {
			time.Sleep(100 * time.Millisecond) // until the other one has said hello
			h.engine.Open("die")
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}})
	h.open(orchestrator.Config{})
	for _, id := range ids {
		h.requireLossTold(id, 2)
	}
}

// crash leaves a record as a server leaves it that dies at some point, and returns the next server's view.
func (h *house) crash(change func(*store.Context)) {
	h.t.Helper()
	records, err := h.store.Contexts()
	require.NoError(h.t, err)
	change(&records[0])
	h.close()
	s, err := store.Open(h.dir)
	require.NoError(h.t, err)
	require.NoError(h.t, s.PutContext(records[0]))
	require.NoError(h.t, s.Close())
	h.open(orchestrator.Config{})
}

// corrupt has the next server find a store that it cannot read.
func (h *house) corrupt() {
	h.t.Helper()
	h.close()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.dir, "state.db"), []byte("garbage"), 0o600))
	h.open(orchestrator.Config{})
}

func TestCrashPoints(t *testing.T) {
	t.Run("create, before its answer", func(t *testing.T) {
		h := newHouse(t)
		h.create()
		h.crash(func(r *store.Context) { r.Ready = false })
		h.requireNothing()
	})
	t.Run("create, before the container", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		require.NoError(t, h.engine.Remove(t.Context(), h.get(id).Container))
		h.eventually(id, orchestrator.StateLost)
		h.crash(func(r *store.Context) { r.Ready = false })
		h.requireNothing()
	})
	t.Run("remove", func(t *testing.T) {
		h := newHouse(t)
		h.create()
		h.crash(func(r *store.Context) { r.Removing = true })
		h.requireNothing()
	})
	t.Run("restart, before the new container", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x 1")
		h.crash(func(r *store.Context) { r.Next = &store.Container{Name: "never-made"} })
		require.Equal(t, fine("=1"), h.run(id, "get x"))
	})
	t.Run("restart, with an unclaimed new container", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x 1")
		_, err := h.engine.Start(t.Context(), orchestrator.ContainerSpec{Name: "next"})
		require.NoError(t, err)
		h.crash(func(r *store.Context) { r.Next = &store.Container{Name: "next"} })
		require.Equal(t, fine("=1"), h.run(id, "get x"))
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
	})
	t.Run("restart, before it was recorded: the higher generation wins", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Hook(enginetest.Hooks{Remove: func() error { return orchestrator.ErrEngine }}) // the old container stays
		records, err := h.store.Contexts()
		require.NoError(t, err)
		before := records[0]
		_, err = h.Restart(t.Context(), id)
		require.NoError(t, err)
		h.run(id, "set x 2")
		records, err = h.store.Contexts()
		require.NoError(t, err)
		before.Next = &records[0].Container
		h.crash(func(r *store.Context) { *r = before })
		require.Equal(t, 2, h.get(id).Generation)
		require.Equal(t, fine("=2"), h.run(id, "get x"))
		h.engine.Hook(enginetest.Hooks{})
		h.reopen()
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
	})
}

func TestUnknownContainers(t *testing.T) {
	t.Run("claimed and ours: adopted", func(t *testing.T) {
		h := newHouse(t)
		cc, err := h.Create(t.Context(), orchestrator.CreateRequest{Cwd: "/tmp"})
		require.NoError(t, err)
		h.run(cc.ID, "set x 1")
		h.corrupt()
		again := h.get(cc.ID)
		require.Equal(t, "/tmp", again.Cwd)
		require.Equal(t, "cubby-python", again.Image.Tag)
		require.True(t, cc.CreatedAt.Equal(again.CreatedAt))
		require.Equal(t, fine("=1"), h.run(cc.ID, "get x"))
		_, err = h.Restart(t.Context(), cc.ID)
		require.NoError(t, err)
	})
	t.Run("unclaimed: left alone", func(t *testing.T) {
		h := newHouse(t)
		_, err := h.engine.Start(t.Context(), orchestrator.ContainerSpec{Name: "somebody's"})
		require.NoError(t, err)
		h.reopen()
		require.Len(t, h.containers(), 1)
		list, err := h.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestAdoptNeedsTheEngine(t *testing.T) {
	h := newHouse(t)
	h.create()
	h.close()
	h.engine.Hook(enginetest.Hooks{List: func() error { return orchestrator.ErrEngine }})
	s, err := store.Open(h.dir)
	require.NoError(t, err)
	m, err := orchestrator.New(orchestrator.Config{
		Engine: h.engine, Workspaces: h.engine, Images: h.engine, Store: s, Languages: []orchestrator.Language{{Name: "python"}},
	})
	require.NoError(t, err)
	require.ErrorIs(t, m.Adopt(t.Context()), orchestrator.ErrEngine)
	records, err := s.Contexts()
	require.NoError(t, err)
	require.Len(t, records, 1, "nothing is forgotten")
	require.NoError(t, s.Close())
	h.engine.Hook(enginetest.Hooks{})
	h.open(orchestrator.Config{})
}
