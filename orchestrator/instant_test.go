package orchestrator_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
)

// reconnecting breaks the bridge of a context and has its new one wait until release is called. Who restarts or removes
// the context, or tells of a loss, waits meanwhile, in the order of arrival.
func (h *house) reconnecting(id string) (release func()) {
	h.t.Helper()
	held := make(chan struct{})
	var intruded atomic.Bool
	h.engine.Hook(enginetest.Hooks{Attach: func() error {
		if !intruded.CompareAndSwap(false, true) {
			<-held
		}
		return nil
	}})
	intruder, err := h.engine.Attach(h.t.Context(), h.get(id).Container)
	require.NoError(h.t, err)
	require.NoError(h.t, intruder.Close())
	synctest.Wait()
	return func() {
		h.engine.Hook(enginetest.Hooks{})
		close(held)
	}
}

// starting is start for an execution that the supervisor may take later.
func (h *house) starting(id, code string) <-chan *orchestrator.Execution {
	started := make(chan *orchestrator.Execution, 1)
	go func() {
		e, err := h.Execute(h.t.Context(), orchestrator.ExecuteRequest{Context: id, Code: code})
		if err != nil {
			h.t.Error(err)
		}
		started <- e
	}()
	return started
}

func TestWhoArrivesAsItIsDecidedToReapIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.close()
		h.open(orchestrator.Config{IdleTimeout: time.Second})
		id := h.create()
		release := h.reconnecting(id)
		time.Sleep(6 * time.Second) // the reaper has looked: the context is idle
		e := h.starting(id, "print hi")
		synctest.Wait()
		require.Empty(t, e, "accepted, though the supervisor does not have it")
		release()
		require.Equal(t, fine("hi\n"), h.listen(<-e))
		time.Sleep(10 * time.Second)
		_, err := h.Get(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrNotFound, "now it is reaped")
	})
}

func TestDefaultContextThatIsRemovedMeanwhileHasASuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		e, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Code: "print hi"})
		require.NoError(t, err)
		require.Equal(t, fine("hi\n"), h.listen(e))
		h.engine.Crash(h.get(e.Context).Container)
		synctest.Wait()
		require.Equal(t, 2, h.get(e.Context).Generation)
		release := h.reconnecting(e.Context)
		removed := make(chan error, 1)
		go func() { removed <- h.Remove(t.Context(), e.Context) }()
		synctest.Wait()
		next := make(chan *orchestrator.Execution, 1)
		go func() { // the loss is to be told, when the removal is over
			e, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Code: "print hi"})
			if err != nil {
				t.Error(err)
			}
			next <- e
		}()
		synctest.Wait()
		release()
		require.NoError(t, <-removed)
		successor := <-next
		require.Equal(t, fine("hi\n"), h.listen(successor))
		require.NotEqual(t, e.Context, successor.Context)
	})
}

func TestLossIsToldOnceToWhoComeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.create()
		h.engine.Crash(h.get(id).Container)
		synctest.Wait()
		release := h.reconnecting(id)
		answers := make(chan told, 5)
		for range cap(answers) {
			go func() { answers <- h.run(id, "print hi") }()
		}
		synctest.Wait()
		release()
		lost := 0
		for range cap(answers) {
			if got := <-answers; got == (told{"", kernel.EndingLost, kernel.StateLost}) {
				lost++
			} else {
				require.Equal(t, fine("hi\n"), got)
			}
		}
		require.Equal(t, 1, lost)
	})
}

// A supervisor that is told that its done was seen does not send it again; the session has to hear it nevertheless.
func TestWhoClaimsToHaveSeenTheDoneKeepsNoContextBusy(t *testing.T) {
	for name, after := range map[string]func(orchestrator.ExecutionStatus) uint64{
		"more than there is": func(orchestrator.ExecutionStatus) uint64 { return 1 << 60 },
		"all that there is":  func(status orchestrator.ExecutionStatus) uint64 { return status.Seq },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.create()
				e := h.start(id, "print a\ngate g")
				h.reached("g")
				e = h.follow(id, e.ID, after(h.status(id, e.ID)))
				release := h.reconnecting(id)
				h.engine.Open("g")
				synctest.Wait()
				release()
				h.rest(e)
				h.eventually(id, orchestrator.StateReady)
			})
		})
	}
	t.Run("that nobody here has heard yet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			id := h.create()
			slow := h.start(id, "gate g\nflood 8000000")
			h.reached("g")
			release := h.reconnecting(id)
			h.engine.Open("g")
			synctest.Wait()
			release()
			synctest.Wait()
			status := h.status(id, slow.ID)
			require.Equal(t, kernel.ExecutionDone, status.State)
			require.Equal(t, orchestrator.StateReady, h.get(id).State, "however far behind its reader is")
			require.Empty(t, h.rest(h.follow(id, slow.ID, status.Done.Seq)))
			h.eventually(id, orchestrator.StateReady)
		})
	})
}
