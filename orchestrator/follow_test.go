package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// follow begins to read an execution.
func (h *house) follow(id, execution string, after uint64) *orchestrator.Execution {
	h.t.Helper()
	e, err := h.Follow(h.t.Context(), id, execution, after)
	require.NoError(h.t, err)
	return e
}

// take returns the next events of an execution.
func (h *house) take(e *orchestrator.Execution, n int) []orchestrator.Event {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), soon)
	defer cancel()
	var events []orchestrator.Event
	for range n {
		ev, err := e.Next(ctx)
		require.NoError(h.t, err)
		events = append(events, ev)
	}
	return events
}

// rest returns all events that are left.
func (h *house) rest(e *orchestrator.Execution) []orchestrator.Event {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), soon)
	defer cancel()
	var events []orchestrator.Event
	for {
		ev, err := e.Next(ctx)
		if errors.Is(err, io.EOF) {
			return events
		}
		require.NoError(h.t, err)
		events = append(events, ev)
	}
}

// said is what events tell, in short.
func said(events []orchestrator.Event) string {
	var words []string
	for _, ev := range events {
		switch ev.Type {
		case kernel.TypeStdout:
			words = append(words, strings.TrimSpace(ev.Text))
		case kernel.TypeDone:
			words = append(words, string(ev.Ending))
		case kernel.TypeGap:
			words = append(words, fmt.Sprintf("gap:%d", ev.Bytes))
		default:
			words = append(words, string(ev.Type))
		}
	}
	return strings.Join(words, " ")
}

func (h *house) status(id, execution string) orchestrator.ExecutionStatus {
	h.t.Helper()
	status, err := h.Execution(h.t.Context(), id, execution)
	require.NoError(h.t, err)
	return status
}

func TestFollow(t *testing.T) {
	t.Run("takes over from the reader before", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		first := h.start(id, "print a\nprint b\ngate g\nprint c")
		seen := h.take(first, 2)
		require.Equal(t, "started a", said(seen))
		h.reached("g")
		second := h.follow(id, first.ID, seen[1].Seq)
		_, err := first.Next(t.Context())
		require.ErrorIs(t, err, orchestrator.ErrReplaced)
		first.Interrupt() // it is no more its execution
		third := h.follow(id, first.ID, 0)
		_, err = second.Next(t.Context())
		require.ErrorIs(t, err, orchestrator.ErrReplaced)
		h.engine.Open("g")
		require.Equal(t, "started a b c ok", said(h.rest(third)))
	})
	t.Run("wakes the reader that waits", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		first := h.start(id, "gate g")
		h.take(first, 1)
		answer := make(chan error)
		go func() { _, err := first.Next(context.Background()); answer <- err }()
		h.follow(id, first.ID, 0)
		require.ErrorIs(t, <-answer, orchestrator.ErrReplaced)
	})
	t.Run("one that waits in the queue", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.start(id, "gate g")
		waiting := h.start(id, "print a")
		require.Equal(t, kernel.ExecutionQueued, h.status(id, waiting.ID).State)
		second := h.follow(id, waiting.ID, 0)
		h.engine.Open("g")
		require.Equal(t, "started a ok", said(h.rest(second)))
	})
	t.Run("one that has ended, with its late output for who has read the done", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		e := h.start(id, "print a\nlate g b\nlate g b\nprint c")
		events := h.rest(e)
		require.Equal(t, "started a c ok", said(events))
		done := events[3]
		require.Empty(t, h.rest(h.follow(id, e.ID, done.Seq)), "there is none yet")
		h.engine.Open("g")
		require.Eventually(t, func() bool { return said(h.rest(h.follow(id, e.ID, done.Seq))) == "b b" }, soon, time.Millisecond)
		require.Equal(t, "a c ok", said(h.rest(h.follow(id, e.ID, events[0].Seq))), "up to the done")
		late := h.rest(h.follow(id, e.ID, done.Seq+1))
		require.LessOrEqual(t, len(late), 2)
		require.Empty(t, h.rest(h.follow(id, e.ID, 1<<60)), "later than anything")
		status := h.status(id, e.ID)
		require.Equal(t, kernel.ExecutionDone, status.State)
		require.Greater(t, status.Seq, done.Seq)
		require.Equal(t, kernel.EndingOK, status.Done.Ending)
	})
	t.Run("one that is later than its end ends with it", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		e := h.follow(id, h.start(id, "gate g").ID, 1<<60)
		h.engine.Open("g")
		require.Empty(t, h.rest(e))
	})
	t.Run("of what nobody knows", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		_, err := h.Follow(t.Context(), "nope", "nope", 0)
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
		_, err = h.Follow(t.Context(), id, "nope", 0)
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
		never := ulid.Make().String()
		_, err = h.Execution(t.Context(), id, never)
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
		require.ErrorContains(t, err, "the last 128")
		_, err = h.Restart(t.Context(), id)
		require.NoError(t, err)
		_, err = h.Execution(t.Context(), id, never)
		require.ErrorContains(t, err, "may have been lost with the state of generation 1")
	})
}

func TestOnlyTheLastExecutionsAreRemembered(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	var ids []string
	for range 140 {
		e := h.start(id, "")
		h.listen(e)
		ids = append(ids, e.ID)
	}
	_, err := h.Execution(t.Context(), id, ids[0])
	require.ErrorIs(t, err, orchestrator.ErrNotFound)
	require.Equal(t, kernel.ExecutionDone, h.status(id, ids[139]).State)
	require.Equal(t, "started ok", said(h.rest(h.follow(id, ids[139-127], 0))))
}

func TestEndingsOfALostGeneration(t *testing.T) {
	for name, lose := range map[string]func(h *house, id string){
		"restarted":      func(h *house, id string) { _, err := h.Restart(h.t.Context(), id); require.NoError(h.t, err) },
		"kernel died":    func(h *house, id string) { h.engine.Crash(h.get(id).Container) },
		"container gone": func(h *house, id string) { _ = h.engine.Remove(h.t.Context(), h.get(id).Container) },
		"context failed": func(h *house, id string) { h.run(id, "die"); h.run(id, "die"); h.run(id, "die") },
		"lost in between": func(h *house, id string) {
			c := h.get(id).Container
			h.close()
			h.engine.Crash(c)
			h.open(orchestrator.Config{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			e := h.start(id, "print a")
			events := h.rest(e)
			lose(h, id)
			require.Eventually(t, func() bool {
				cc := h.get(id)
				return cc.Generation > 1 || cc.State == orchestrator.StateLost || cc.State == orchestrator.StateFailed
			}, soon, time.Millisecond)
			for range 2 {
				status := h.status(id, e.ID)
				require.Equal(t, 1, status.Generation)
				require.Equal(t, kernel.EndingOK, status.Done.Ending)
				require.Equal(t, events[len(events)-1].Seq, status.Done.Seq)
				require.Contains(t, []string{"gap:2 ok", "ok"}, said(h.rest(h.follow(id, e.ID, 0))), "only the done")
				require.Empty(t, h.rest(h.follow(id, e.ID, status.Done.Seq)))
				h.reopen()
			}
		})
	}
	t.Run("those that the loss has ended too", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		running, waiting := h.start(id, "print a\ngate g"), h.start(id, "")
		h.reached("g")
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		for range 2 {
			for _, e := range []*orchestrator.Execution{running, waiting} {
				require.Equal(t, kernel.EndingRestarted, h.status(id, e.ID).Done.Ending)
			}
			h.reopen()
		}
	})
}

func TestFollowAcrossServers(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	ended := h.start(id, "print a\nprint b")
	first := h.rest(ended)
	running, waiting := h.start(id, "print c\nprint d\ngate g\nprint e"), h.start(id, "print f")
	h.reached("g")
	seen := h.take(running, 2)
	h.reopen()
	require.Equal(t, kernel.ExecutionRunning, h.status(id, running.ID).State)
	require.Equal(t, kernel.ExecutionQueued, h.status(id, waiting.ID).State)
	require.Equal(t, kernel.ExecutionDone, h.status(id, ended.ID).State)
	require.Equal(t, "b ok", said(h.rest(h.follow(id, ended.ID, first[1].Seq))))
	again := h.follow(id, running.ID, seen[1].Seq)
	more := h.take(again, 1)
	require.Equal(t, "d", said(more))
	h.reopen()
	again = h.follow(id, running.ID, more[0].Seq)
	next := h.follow(id, waiting.ID, 0)
	h.engine.Open("g")
	require.Equal(t, "e ok", said(h.rest(again)))
	require.Equal(t, "started f ok", said(h.rest(next)))
}

func TestFollowSurvivesABrokenBridge(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	e := h.start(id, "print a\ngate g\nprint b")
	h.reached("g")
	for range 3 {
		e = h.follow(id, e.ID, 0)
		intruder, err := h.engine.Attach(t.Context(), h.get(id).Container)
		require.NoError(t, err)
		require.NoError(t, intruder.Close())
	}
	h.engine.Open("g")
	require.Equal(t, "started a b ok", said(h.rest(e)))
}
