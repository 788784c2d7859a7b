package supervisor

import (
	"fmt"
	"time"

	"cubby/orchestrator/kernel"
)

// execution is one run of code from the queue to its done. It is the sink of what the kernel tells of it. The
// supervisor's mutex guards it.
type execution struct {
	s       *Supervisor
	run     Run
	timeout time.Duration // 0: none
	limits  kernel.Limits
	started chan struct{} // closed by the kernel's started
	ending  chan struct{} // closed when there is a cause to end it

	cause     kernel.Ending // why it is to be ended before it ends by itself; empty: it is not
	printed   int64         // bytes of output and results so far
	signalled bool          // an interrupt was sent to the kernel
	begun     bool          // started is closed
	failed    bool          // an error came
	cut       bool          // an error came after the interrupt was sent
}

// ended is how an execution ended.
type ended struct {
	ending kernel.Ending
	state  kernel.State
	value  string
	usage  *kernel.Usage
}

// newExecution returns the execution that a request asks for.
func newExecution(s *Supervisor, req kernel.Request) *execution {
	e := &execution{
		s: s, run: Run{ID: req.ID, Code: req.Code, Env: req.Env},
		timeout: time.Duration(req.TimeoutMS) * time.Millisecond,
		started: make(chan struct{}), ending: make(chan struct{}),
	}
	if req.Limits != nil {
		e.limits = *req.Limits
	}
	return e
}

// Event implements Sink. The kernel has one started and one error per execution; more are dropped, and an error or
// result that comes after the done cannot be told any more.
func (e *execution) Event(ev kernel.Event) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	over := e.s.running != e
	switch ev.Type {
	case kernel.TypeStarted:
		if over || e.begun {
			return
		}
		e.begun = true
		close(e.started)
	case kernel.TypeError:
		if over || e.failed {
			return
		}
		e.failed = true
		e.cut = e.signalled
	case kernel.TypeResult:
		if over {
			return
		}
		e.count(ev)
	case kernel.TypeStdout, kernel.TypeStderr:
		if !over {
			e.count(ev)
		}
	default:
		return
	}
	ev.ID = e.run.ID
	e.s.record(ev)
}

// count holds what the execution has written against its limit. The caller holds the supervisor's mu.
func (e *execution) count(ev kernel.Event) {
	e.printed += ev.OutputBytes()
	if limit := e.limits.OutputBytes; limit > 0 && e.printed > limit {
		e.end(kernel.EndingOutputLimit)
	}
}

// Ready implements Sink.
func (e *execution) Ready(size int, stop <-chan struct{}) {
	for {
		e.s.mu.Lock()
		c := e.s.conn
		if c == nil {
			e.s.mu.Unlock()
			return
		}
		room, patience, wait := c.crowded(e.run.ID, size)
		e.s.mu.Unlock()
		if !wait {
			return
		}
		timer := time.NewTimer(patience)
		select {
		case <-room:
		case <-timer.C:
		case <-e.ending: // what it has yet to tell must not outlast its grace
			timer.Stop()
			return
		case <-c.closed:
			timer.Stop()
			return
		case <-stop:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// end asks for the execution's end; the first cause is the one that is told. The caller holds the supervisor's mu.
func (e *execution) end(cause kernel.Ending) {
	if e.cause == "" {
		e.cause = cause
		close(e.ending)
	}
}

// excess says which of its limits the execution has exceeded, if that is why it is to be ended.
func (e *execution) excess() string {
	switch e.cause {
	case kernel.EndingOutputLimit:
		return fmt.Sprintf("more than %d bytes of output and results", e.limits.OutputBytes)
	case kernel.EndingDiskFull:
		return fmt.Sprintf("the workspace holds more than %d bytes", e.limits.DiskBytes)
	default:
		return ""
	}
}

// finish journals the one done of an execution. The caller holds mu.
func (s *Supervisor) finish(e *execution, how ended) {
	if s.running == e {
		s.running = nil
	}
	s.record(kernel.Event{
		ID: e.run.ID, Type: kernel.TypeDone, Ending: how.ending, State: how.state, Value: how.value, Usage: how.usage,
	})
	if s.conn != nil {
		s.conn.ended(e.run.ID)
		s.conn.forget() // the journal forgets executions only when another is done
	}
	e.run.Code, e.run.Env = "", nil // late output may keep the execution for long
}
