package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// history is what the readers of one execution were given.
type history struct {
	mu    sync.Mutex
	ended int // readers that came to its done
}

// race is one context to which many things happen at once.
type race struct {
	*house
	id string

	mu        sync.Mutex
	histories map[string]*history
}

// read reads an execution to its end and holds that its events come once and in order, the done last and once.
func (r *race) read(e *orchestrator.Execution, after uint64) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 6*soon)
	defer cancel()
	var last orchestrator.Event
	for seq := after; ; {
		ev, err := e.Next(ctx)
		switch {
		case errors.Is(err, orchestrator.ErrReplaced):
			return
		case errors.Is(err, io.EOF):
			if after == 0 && last.Type != kernel.TypeDone {
				r.t.Errorf("execution %s ended with %+v", e.ID, last)
			}
			if again, err := e.Next(ctx); !errors.Is(err, io.EOF) && !errors.Is(err, orchestrator.ErrReplaced) {
				r.t.Errorf("after the end of execution %s: %+v, %v", e.ID, again, err)
			}
			r.of(e.ID).mu.Lock()
			r.of(e.ID).ended++
			r.of(e.ID).mu.Unlock()
			return
		case err != nil:
			r.t.Errorf("execution %s: %v", e.ID, err)
			return
		case ev.Seq <= seq:
			r.t.Errorf("execution %s: event %+v after %d", e.ID, ev, seq)
		case last.Type == kernel.TypeDone:
			r.t.Errorf("execution %s: event %+v after its done", e.ID, ev)
		}
		seq, last = ev.Seq, ev
	}
}

// of returns the history of an execution.
func (r *race) of(execution string) *history {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.histories[execution] == nil {
		r.histories[execution] = &history{}
	}
	return r.histories[execution]
}

// any returns an execution that has been started, or nothing.
func (r *race) any() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.histories {
		return id
	}
	return ""
}

// check holds that an error is one that a race may have.
func (r *race) check(what string, err error) bool {
	if err != nil && !errors.Is(err, orchestrator.ErrNotFound) && !errors.Is(err, orchestrator.ErrConflict) {
		r.t.Errorf("%s: %v", what, err)
	}
	return err == nil
}

// act does one thing of many.
func (r *race) act(what int) {
	ctx := r.t.Context()
	switch {
	case what < 8:
		code := []string{"print a\nprint b", "gate never", "flood 200000", "hang", "die", "print a\nlate l b", "set x 1\nget x", ""}[what]
		e, err := r.Execute(ctx, orchestrator.ExecuteRequest{Context: r.id, Code: code})
		if !r.check("execute", err) {
			return
		}
		r.of(e.ID)
		r.read(e, 0)
	case what < 12:
		if execution, after := r.any(), uint64(rand.IntN(4)); execution != "" {
			e, err := r.Follow(ctx, r.id, execution, after)
			if r.check("follow", err) {
				r.read(e, after)
			}
		}
	case what < 14:
		r.check("interrupt", r.Interrupt(ctx, r.id))
	case what < 15:
		_, err := r.Restart(ctx, r.id)
		r.check("restart", err)
	case what < 16:
		if execution := r.any(); execution != "" {
			_, err := r.Execution(ctx, r.id, execution)
			r.check("execution", err)
		}
	default:
		cc, err := r.Get(ctx, r.id)
		if !r.check("get", err) {
			return
		}
		if intruder, err := r.engine.Attach(ctx, cc.Container); err == nil { // which breaks the bridge
			_ = intruder.Close()
		}
	}
}

// Hundreds of rounds, in each of which a dozen clients do what they like to one context, until somebody removes it.
func TestEverythingAtOnce(t *testing.T) {
	for round := range 25 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which also holds that no goroutine is left
				h := newHouse(t)
				for range 10 {
					h.everythingAtOnce()
				}
			})
		})
	}
}

// loiter takes a while: time itself passes in such a test only when nobody has anything to do.
func loiter(most int) {
	for range rand.IntN(most) {
		for range 100 {
			runtime.Gosched()
		}
	}
}

func (h *house) everythingAtOnce() {
	r := &race{house: h, id: h.create(), histories: map[string]*history{}}
	var clients sync.WaitGroup
	for range 12 {
		what := rand.IntN(17)
		clients.Go(func() {
			loiter(20)
			r.act(what)
		})
	}
	loiter(100)
	if err := h.Remove(h.t.Context(), r.id); err != nil {
		h.t.Errorf("remove: %v", err)
	}
	clients.Wait()
	for id, history := range r.histories {
		if history.ended == 0 {
			h.t.Errorf("execution %s: nobody came to its end", id)
		}
	}
	require.Eventually(h.t, func() bool { return len(h.containers()) == 0 }, soon, time.Millisecond)
	h.requireNothing()
}
