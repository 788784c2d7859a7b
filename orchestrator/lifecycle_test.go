package orchestrator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
)

func TestRestart(t *testing.T) {
	t.Run("clears the variables and keeps the rest", func(t *testing.T) {
		h := newHouse(t)
		cc, err := h.Create(t.Context(), orchestrator.CreateRequest{Cwd: "/tmp", Env: map[string]string{"K": "v"}})
		require.NoError(t, err)
		other := h.create()
		h.run(cc.ID, "set x 1")
		again, err := h.Restart(t.Context(), cc.ID)
		require.NoError(t, err)
		require.Equal(t, cc.ID, again.ID)
		require.Equal(t, 2, again.Generation)
		require.NotEqual(t, cc.Container, again.Container, "the container is recreated")
		require.Equal(t, bad("=/tmp=v!NameError"), h.run(cc.ID, "cwd\nenv K\nget x"))
		list, err := h.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{cc.ID, other}, []string{list[0].ID, list[1].ID}, "its place in the list too")
		require.Eventually(t, func() bool { return len(h.containers()) == 2 }, soon, time.Millisecond, "the old container goes")
	})
	t.Run("ends what runs and waits", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		running, waiting := h.start(id, "hang"), h.start(id, "print never")
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		restarted := told{"", kernel.EndingRestarted, kernel.StateLost}
		require.Equal(t, restarted, h.listen(running))
		require.Equal(t, restarted, h.listen(waiting))
	})
	t.Run("that fails leaves the old container untouched", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x 1")
		h.engine.Hook(enginetest.Hooks{Start: func() error { return orchestrator.ErrEngine }})
		_, err := h.Restart(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Equal(t, 1, h.get(id).Generation)
		require.Equal(t, fine("=1"), h.run(id, "get x"))
		require.Len(t, h.containers(), 1)
	})
	t.Run("whose working directory has become a file leaves the old container untouched", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		running := h.start(id, "set x 1\ngate g")
		h.reached("g")
		h.engine.Hook(enginetest.Hooks{Setup: func() error { return errors.New("not a directory") }})
		_, err := h.Restart(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrInvalid)
		h.engine.Open("g")
		require.Equal(t, fine(""), h.listen(running))
		require.Equal(t, fine("=1"), h.run(id, "get x"))
		require.Eventually(t, func() bool { return len(h.containers()) == 1 }, soon, time.Millisecond)
	})
	t.Run("is carried out though the client leaves", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		ctx, leave := context.WithCancel(t.Context())
		h.engine.Hook(enginetest.Hooks{Start: func() error { leave(); return nil }})
		_, err := h.Restart(ctx, id)
		require.NoError(t, err)
		require.Equal(t, 2, h.get(id).Generation)
	})
	t.Run("of an unknown context", func(t *testing.T) {
		_, err := newHouse(t).Restart(t.Context(), "nope")
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
	})
}

func TestRemove(t *testing.T) {
	t.Run("ends what runs and leaves nothing", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		running := h.start(id, "hang")
		require.NoError(t, h.Remove(t.Context(), id))
		require.Equal(t, told{"", kernel.EndingRemoved, kernel.StateLost}, h.listen(running))
		h.requireNothing()
		_, err := h.Get(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
		require.ErrorIs(t, h.Remove(t.Context(), id), orchestrator.ErrNotFound)
	})
	t.Run("many times at once succeeds once", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		var wg sync.WaitGroup
		answers := make(chan error, 20)
		for range 20 {
			wg.Go(func() { answers <- h.Remove(t.Context(), id) })
		}
		wg.Wait()
		close(answers)
		var done int
		for err := range answers {
			if err == nil {
				done++
				continue
			}
			require.ErrorIs(t, err, orchestrator.ErrNotFound)
		}
		require.Equal(t, 1, done)
	})
	t.Run("that the engine refuses is finished by the next server", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Hook(enginetest.Hooks{Remove: func() error { return orchestrator.ErrEngine }})
		require.ErrorIs(t, h.Remove(t.Context(), id), orchestrator.ErrEngine)
		h.close()
		require.Len(t, h.containers(), 1)
		h.engine.Hook(enginetest.Hooks{})
		h.open(orchestrator.Config{})
		h.requireNothing()
	})
	t.Run("wakes who waits for a restart", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Hook(enginetest.Hooks{Start: func() error { return orchestrator.ErrEngine }})
		require.NoError(t, h.RemoveAll(t.Context()))
		_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id})
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
	})
}

func TestKernelDeath(t *testing.T) {
	t.Run("during an execution is told by its done", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "set x 1")
		waiting := h.start(id, "gate g")
		dying, behind := h.start(id, "print a\ndie"), h.start(id, "print never")
		h.engine.Open("g")
		h.listen(waiting)
		require.Equal(t, told{"a\n", kernel.EndingCrashed, kernel.StateLost}, h.listen(dying))
		require.Equal(t, told{"", kernel.EndingCrashed, kernel.StateLost}, h.listen(behind), "unrun")
		require.Equal(t, bad("!NameError"), h.run(id, "get x"), "in a new container")
		require.Equal(t, 2, h.get(id).Generation)
	})
	t.Run("three times in a row fails the context", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		for range 3 {
			require.Equal(t, kernel.EndingCrashed, h.run(id, "die").ending)
		}
		cc := h.eventually(id, orchestrator.StateFailed)
		require.Contains(t, cc.Reason, "exit status 1")
		_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id})
		require.ErrorIs(t, err, orchestrator.ErrConflict)
		h.reopen()
		require.Equal(t, orchestrator.StateFailed, h.get(id).State, "also for the next server")
		_, err = h.Restart(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
	t.Run("between finished executions fails nothing", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		for range 4 {
			require.Equal(t, kernel.EndingCrashed, h.run(id, "die").ending)
			require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
		}
	})
	t.Run("that cannot be mended is a loss", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Hook(enginetest.Hooks{Start: func() error { return errors.New("no room") }})
		require.Equal(t, kernel.EndingCrashed, h.run(id, "die").ending)
		require.Contains(t, h.eventually(id, orchestrator.StateLost).Reason, "exit status 1")
		h.engine.Hook(enginetest.Hooks{})
		require.Eventually(t, func() bool { return h.run(id, "print hi") == fine("hi\n") }, soon, time.Millisecond)
	})
}

func TestLostContainer(t *testing.T) {
	for name, end := range map[string]func(*enginetest.Engine, string){
		"killed by somebody":    (*enginetest.Engine).Exit,
		"restarted by somebody": (*enginetest.Engine).Restart,
		"removed by somebody":   func(e *enginetest.Engine, id string) { _ = e.Remove(context.Background(), id) },
	} {
		t.Run(name+", while idle: the next execution tells", func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			end(h.engine, h.get(id).Container)
			cc := h.eventually(id, orchestrator.StateLost)
			require.Contains(t, cc.Reason, strings.Fields(name)[0])
			require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, h.run(id, "print never"), "unrun")
			require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
			require.Equal(t, 2, h.get(id).Generation)
		})
		t.Run(name+", while busy: the execution tells", func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			running := h.start(id, "hang")
			end(h.engine, h.get(id).Container)
			require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, h.listen(running))
			require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
		})
	}
	t.Run("whose next one is gone at once is found nevertheless", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Exit(h.get(id).Container)
		h.eventually(id, orchestrator.StateLost)
		require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, h.run(id, "print never"), "unrun")
		h.engine.Hook(enginetest.Hooks{Attach: func() error { return orchestrator.ErrNotFound }})
		_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: "print never"})
		require.Error(t, err)
		require.NotErrorIs(t, err, orchestrator.ErrNotFound)
		h.engine.Hook(enginetest.Hooks{})
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
	t.Run("a restart brings it back", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Exit(h.get(id).Container)
		h.eventually(id, orchestrator.StateLost)
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"), "who restarts knows")
	})
}

func TestBrokenBridgeIsReplaced(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	h.run(id, "set x 1")
	running := h.start(id, "print a\ngate g\nprint b")
	h.reached("g")
	intruder, err := h.engine.Attach(t.Context(), h.get(id).Container) // the newest attach fences ours off
	require.NoError(t, err)
	h.engine.Open("g")
	require.Equal(t, fine("a\nb\n"), h.listen(running), "resumed without a gap or a repetition")
	require.Equal(t, fine("=1"), h.run(id, "get x"))
	require.NoError(t, intruder.Close())
}

func TestIdleContextsAreReaped(t *testing.T) {
	h := newHouse(t)
	h.close()
	h.open(orchestrator.Config{IdleTimeout: time.Millisecond})
	idle, busy := h.create(), h.create()
	running := h.start(busy, "gate g")
	require.Eventually(t, func() bool {
		_, err := h.Get(t.Context(), idle)
		return errors.Is(err, orchestrator.ErrNotFound)
	}, 2*soon, 10*time.Millisecond)
	require.Equal(t, orchestrator.StateBusy, h.get(busy).State, "nobody is thrown out")
	h.engine.Open("g")
	h.listen(running)
}
