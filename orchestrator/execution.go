package orchestrator

import (
	"context"
	"io"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
)

// Execution is one run of code, as its one reader sees it: a queue of events that ends with a done. Whoever runs the
// code delivers the events; the supervisor's window (kernel.Window) bounds the queue. All methods may be called
// concurrently, Next by one caller at a time.
type Execution struct {
	ID         string // a ULID
	Context    string // the id of the context it runs in
	Generation int    // of the context when the execution was accepted

	ack       func(seq uint64) // tells the supervisor what the reader has taken
	interrupt func()

	mu      sync.Mutex
	queue   []Event
	ended   bool          // the done is in the queue or taken
	lastSeq uint64        // of the newest event delivered
	arrived chan struct{} // an event came in; capacity 1
	unacked int           // bytes taken since the last ack
	unheard bool          // nobody learns how it ends
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
// resumes may repeat events, and late output of a finished execution has no reader.
func (e *Execution) Deliver(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || (ev.Seq != 0 && ev.Seq <= e.lastSeq) {
		return
	}
	e.lastSeq = max(e.lastSeq, ev.Seq)
	e.ended = ev.Type == kernel.TypeDone
	e.queue = append(e.queue, ev)
	select {
	case e.arrived <- struct{}{}:
	default:
	}
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

// Next returns the next event, waiting for it until ctx ends. After the done it returns io.EOF.
func (e *Execution) Next(ctx context.Context) (Event, error) {
	for {
		e.mu.Lock()
		if len(e.queue) > 0 {
			ev := e.queue[0]
			e.queue[0] = Event{} // let go of its text
			e.queue = e.queue[1:]
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

// Discard takes the place of a reader who has left, to the end of the execution or of ctx: a supervisor holds a done back
// behind output that nobody takes. From its call on nobody is told anything by this execution.
func (e *Execution) Discard(ctx context.Context) {
	e.mu.Lock()
	e.unheard = true
	e.mu.Unlock()
	for {
		if _, err := e.Next(ctx); err != nil {
			return
		}
	}
}

// heard reports whether somebody learns how the execution ends.
func (e *Execution) heard() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.unheard
}

// Interrupt asks for the execution's end; its done says how it went. It returns at once, and does nothing to an
// execution that is over.
func (e *Execution) Interrupt() {
	if e.interrupt != nil && !e.Ended() {
		e.interrupt()
	}
}

// Ended reports whether the done has been delivered.
func (e *Execution) Ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended
}

// seen returns the sequence number of the newest event delivered.
func (e *Execution) seen() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lastSeq
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
