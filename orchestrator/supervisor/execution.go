package supervisor

import (
	"time"

	"cubby/orchestrator/kernel"
)

// execution is one run of code from the queue to its done. It is the sink of what the kernel tells of it. The
// supervisor's mutex guards it.
type execution struct {
	s           *Supervisor
	run         Run
	timeout     time.Duration // 0: none
	started     chan struct{} // closed by the kernel's started
	interrupted chan struct{} // closed by the first interrupt

	signalled bool // an interrupt was sent to the kernel
	begun     bool // started is closed
	halted    bool // interrupted is closed
	failed    bool // an error came
	cut       bool // an error came after the interrupt was sent
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
	return &execution{
		s: s, run: Run{ID: req.ID, Code: req.Code, Env: req.Env},
		timeout: time.Duration(req.TimeoutMS) * time.Millisecond,
		started: make(chan struct{}), interrupted: make(chan struct{}),
	}
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
	case kernel.TypeStdout, kernel.TypeStderr:
	default:
		return
	}
	ev.ID = e.run.ID
	e.s.record(ev)
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

// interrupt asks for the execution's end. The caller holds the supervisor's mu.
func (e *execution) interrupt() {
	if !e.halted {
		e.halted = true
		close(e.interrupted)
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
		s.conn.forget() // the journal forgets executions only when another is done
	}
	e.run.Code, e.run.Env = "", nil // late output may keep the execution for long
}
