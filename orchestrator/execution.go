package orchestrator

import (
	"context"
	"io"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
)

// Execution is one run of code, as one reader sees it: a queue of events that ends with a done. Whoever runs the code
// delivers the events; the supervisor's window (kernel.Window) bounds the queue. All methods may be called concurrently,
// Next by one caller at a time.
type Execution struct {
	ID         string // a ULID
	Context    string // the id of the context it runs in
	Generation int    // of the context when the execution was accepted

	ack       func(seq uint64) // tells the supervisor what the reader has taken
	interrupt func()
	heard     func(done Event) // somebody has been told how it ended; nil: nobody asks

	mu        sync.Mutex
	queue     []Event
	ended     bool          // nothing more is delivered
	replaced  bool          // somebody else reads it now
	late      bool          // its done was read before: what comes is late output, until finish
	over      bool          // it had ended when its reader came
	lastSeq   uint64        // of the newest event delivered
	delivered int64         // bytes of output and results, those told as gaps included
	partly    bool          // delivered does not count from the execution's beginning
	arrived   chan struct{} // an event came in, or the end; capacity 1
	unacked   int           // bytes taken since the last ack
}

// NewExecution returns an execution without events. The functions may be nil; ack is called from Next for every
// kernel.AckEvery bytes taken, interrupt from Interrupt.
func NewExecution(id, contextID string, generation int, ack func(seq uint64), interrupt func()) *Execution {
	return &Execution{
		ID: id, Context: contextID, Generation: generation, ack: ack, interrupt: interrupt,
		arrived: make(chan struct{}, 1),
	}
}

// Deliver appends an event. What comes after the done, and what was delivered before, is dropped: a connection that
// resumes may repeat events, and late output of a finished execution has no reader but one who asked for it.
func (e *Execution) Deliver(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || e.replaced {
		return
	}
	if ev.Seq == 0 || ev.Seq > e.lastSeq {
		e.lastSeq = max(e.lastSeq, ev.Seq)
		e.delivered += outputBytes(ev)
		e.partly = e.partly || ev.AtMost
		e.queue = append(e.queue, ev)
	}
	e.ended = ev.Type == kernel.TypeDone && !e.late
	e.poke()
}

// finish says that nothing more will come.
func (e *Execution) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.poke()
}

// replace takes the execution from its reader, for another one.
func (e *Execution) replace() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replaced, e.queue = true, nil
	e.poke()
}

// poke wakes Next. The caller holds mu.
func (e *Execution) poke() {
	select {
	case e.arrived <- struct{}{}:
	default:
	}
}

// Next returns the next event, waiting for it until ctx ends. After the done it returns io.EOF; ErrReplaced as soon as
// somebody else has begun to read the execution, which then is no more this reader's to interrupt.
func (e *Execution) Next(ctx context.Context) (Event, error) {
	ev, err := e.next(ctx)
	if err == nil && ev.Type == kernel.TypeDone && e.heard != nil {
		e.heard(ev)
	}
	return ev, err
}

// next is Next for a reader who tells nobody.
func (e *Execution) next(ctx context.Context) (Event, error) {
	for {
		e.mu.Lock()
		if e.replaced {
			e.mu.Unlock()
			return Event{}, ErrReplaced
		}
		if len(e.queue) > 0 {
			ev := e.queue[0]
			e.queue[0] = Event{} // let go of its text
			if e.queue = e.queue[1:]; len(e.queue) == 0 {
				e.queue = nil // the execution may be remembered for long
			}
			ackNow := e.taken(ev)
			e.mu.Unlock()
			if ackNow && e.ack != nil {
				e.ack(ev.Seq)
			}
			return ev, nil
		}
		ended := e.ended
		e.mu.Unlock()
		if ended {
			return Event{}, io.EOF
		}
		select {
		case <-e.arrived:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Discard takes the place of a reader who has left, to the end of the execution or of ctx, or until somebody else reads
// it: a supervisor holds a done back behind output that nobody takes. From its call on nobody is told anything by this
// execution. Of one that had ended before it was followed nothing is held back: Discard returns at once.
func (e *Execution) Discard(ctx context.Context) {
	if e.over {
		e.replace()
		return
	}
	for {
		if _, err := e.next(ctx); err != nil {
			return
		}
	}
}

// Interrupt asks for the execution's end; its done says how it went. It returns at once, and does nothing to an
// execution that is over or that somebody else reads.
func (e *Execution) Interrupt() {
	e.mu.Lock()
	idle := e.ended || e.replaced || e.over
	e.mu.Unlock()
	if e.interrupt != nil && !idle {
		e.interrupt()
	}
}

// Ended reports whether the done has been delivered.
func (e *Execution) Ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended
}

// reads reports whether somebody still reads it and has not come to the end.
func (e *Execution) reads() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.ended && !e.replaced
}

// seen returns the sequence number of the newest event delivered, how many bytes of output and results were, and whether
// that counts from the execution's beginning.
func (e *Execution) seen() (seq uint64, delivered int64, whole bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lastSeq, e.delivered, !e.partly
}

// taken counts a taken event and reports whether it is time to acknowledge. The caller holds mu.
func (e *Execution) taken(ev Event) bool {
	e.unacked += len(ev.Text) + 64
	for _, value := range ev.Data {
		e.unacked += len(value)
	}
	if e.unacked < kernel.AckEvery {
		return false
	}
	e.unacked = 0
	return true
}

// unrun returns the done of an execution that a supervisor has refused. Only a dead kernel takes the state with it.
func unrun(refused Event) Event {
	done := Event{
		ID: refused.ID, Type: kernel.TypeDone, Time: time.Now(), Ending: kernel.EndingLost, State: kernel.StateUnknown,
		Value: refused.Value,
	}
	if kernel.Refusal(refused.Name) == kernel.RefusedDead {
		done.State = kernel.StateLost
	}
	return done
}
