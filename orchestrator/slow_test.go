package orchestrator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

const flood = 16 << 20

// requireCounted holds that output and gaps make up what was written, and returns the last event.
func requireCounted(t *testing.T, want int64, events []orchestrator.Event) orchestrator.Event {
	t.Helper()
	var told int64
	for _, ev := range events {
		told += int64(len(ev.Text)) + ev.Bytes
		require.False(t, ev.AtMost)
	}
	require.Equal(t, want, told)
	return events[len(events)-1]
}

func TestSlowReaderIsToldTheTruth(t *testing.T) {
	t.Run("of a kernel that died: its ending, after a gap that counts", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		slow := h.start(id, fmt.Sprintf("flood %d\ndie", flood))
		require.Eventually(t, func() bool { return h.get(id).Generation == 2 }, soon, time.Millisecond)
		done := requireCounted(t, flood, h.rest(slow))
		require.Equal(t, kernel.EndingCrashed, done.Ending)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"), "who has read the done is told")
	})
	t.Run("who has not come to the done is not told", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		slow := h.start(id, fmt.Sprintf("flood %d\ndie", flood))
		require.Eventually(t, func() bool { return h.get(id).Generation == 2 }, soon, time.Millisecond)
		require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
		require.Equal(t, kernel.EndingCrashed, requireCounted(t, flood, h.rest(slow)).Ending)
	})
	t.Run("of the kernel whose death fails the context", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.run(id, "die")
		h.run(id, "die")
		slow := h.start(id, fmt.Sprintf("flood %d\ndie", flood))
		h.eventually(id, orchestrator.StateFailed)
		require.Equal(t, kernel.EndingCrashed, requireCounted(t, flood, h.rest(slow)).Ending)
	})
	t.Run("of an execution that had ended before the restart", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		slow := h.start(id, fmt.Sprintf("flood %d", flood))
		running := h.start(id, "gate g")
		h.reached("g")
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, kernel.EndingOK, requireCounted(t, flood, h.rest(slow)).Ending)
		require.Equal(t, kernel.EndingRestarted, requireCounted(t, 0, h.rest(running)).Ending)
	})
	t.Run("of one that the restart has ended", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		slow := h.start(id, fmt.Sprintf("flood %d\ngate g", flood))
		h.reached("g")
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, kernel.EndingRestarted, requireCounted(t, flood, h.rest(slow)).Ending)
	})
	t.Run("who begins in the middle is given an upper bound", func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		first := h.start(id, fmt.Sprintf("flood %d\ngate g", flood))
		events := h.take(first, 3)
		slow := h.follow(id, first.ID, events[2].Seq)
		h.reached("g")
		_, err := h.Restart(t.Context(), id)
		require.NoError(t, err)
		var told int64
		var bounds int
		for _, ev := range h.rest(slow) {
			told += int64(len(ev.Text)) + ev.Bytes
			if ev.AtMost {
				bounds++
			}
		}
		require.Equal(t, 1, bounds)
		require.GreaterOrEqual(t, told, int64(flood-2*kernel.MaxText))
	})
}

func TestWhoIsHandedADoneIsTold(t *testing.T) {
	died := func(t *testing.T) (*house, string, string) {
		t.Helper()
		h := newHouse(t)
		id := h.create()
		e := h.start(id, "gate g\ndie")
		h.reached("g")
		h.reopen()
		h.engine.Open("g")
		require.Eventually(t, func() bool { return h.get(id).Generation == 2 }, soon, time.Millisecond)
		return h, id, e.ID
	}
	t.Run("by Execution", func(t *testing.T) {
		h, id, e := died(t)
		require.Equal(t, kernel.EndingCrashed, h.status(id, e).Done.Ending)
		h.reopen()
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"), "also for the next server")
	})
	t.Run("by Follow", func(t *testing.T) {
		h, id, e := died(t)
		require.Equal(t, "crashed", said(h.rest(h.follow(id, e, 0))))
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
	t.Run("not by a done that its reader has left", func(t *testing.T) {
		h, id, e := died(t)
		h.follow(id, e, 0).Discard(t.Context())
		require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
	t.Run("not of a later loss", func(t *testing.T) {
		h, id, e := died(t)
		h.engine.Crash(h.get(id).Container)
		require.Eventually(t, func() bool { return h.get(id).Generation == 3 }, soon, time.Millisecond)
		h.status(id, e)
		require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending)
	})
	t.Run("an untold loss is known to who rebuilds the store", func(t *testing.T) {
		h, id, _ := died(t)
		h.corrupt()
		require.Equal(t, 2, h.get(id).Generation)
		require.Equal(t, kernel.EndingLost, h.run(id, "print never").ending)
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	})
}

func TestReadersThatTakeOverMissNothing(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	e := h.start(id, fmt.Sprintf("flood %d", flood))
	var events []orchestrator.Event
	for range 40 {
		events = append(events, h.take(e, 5)...)
		e = h.follow(id, e.ID, events[len(events)-1].Seq)
	}
	events = append(events, h.rest(e)...)
	require.Equal(t, kernel.EndingOK, requireCounted(t, flood, events).Ending)
}
