package orchestrator

import (
	"context"
	"slices"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// handler returns what takes the events of one container.
func (s *session) handler(c store.Container) func(Event) {
	return func(ev Event) {
		switch ev.Type {
		case kernel.TypeEnded, kernel.TypeExited:
			s.mu.Lock()
			s.learn(ev.Executions)
			s.mu.Unlock()
		default:
			s.deliver(ev)
		}
		if ev.Type == kernel.TypeExited {
			s.m.inBackground(func(ctx context.Context) { s.kernelDied(ctx, c.Name, ev.Value) })
		}
	}
}

// deliver takes one event of an execution. It is called by a connection's reader and does not block.
func (s *session) deliver(ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, i := s.known(ev.ID)
	switch {
	case r == nil, ev.Type == kernel.TypeResumed && ev.Reader != r.number:
		return
	case ev.Type == kernel.TypeResumed:
		r.take()
		r.awaited = false
		r.until = ev.Seq
		r.endLate()
		return
	case ev.Type == kernel.TypeRefused && i < 0: // the journal has forgotten it, and told nothing to who follows it now
		if kernel.Refusal(ev.Name) == kernel.RefusedUnknown {
			r.conclude()
		}
		return
	case ev.Type == kernel.TypeRefused: // by a kernel that died before the request came, or by one that has forgotten it
		ev = unrun(ev)
		ev.Seq = r.seq + 1
		r.awaited, r.archived = false, true
	}
	r.take()
	r.seq = max(r.seq, ev.Seq)
	switch ev.Type {
	case kernel.TypeStarted:
		if r.done == nil { // else somebody reads again what is over
			r.state = kernel.ExecutionRunning
		}
		r.request = kernel.Request{Op: kernel.OpResume, ID: r.id} // its code is no longer needed, and must not run again
	case kernel.TypeDone:
		r.ended(ev)
	}
	if r.awaited || r.reader == nil {
		return
	}
	r.reader.Deliver(ev)
	if i < 0 {
		r.endLate()
	} else if ev.Type == kernel.TypeDone {
		s.finish(i, ev)
	}
}

// endLate ends the reading of a finished execution whose reader has what there was when it came. The caller holds the
// session's mu.
func (r *run) endLate() {
	if !r.over || r.until == 0 {
		return
	}
	if seq, _, _ := r.reader.seen(); seq >= r.until {
		r.reader.finish()
	}
}

// finish notes that an execution under way has ended, by its done. The caller holds mu.
func (s *session) finish(i int, done Event) {
	r := s.executions[i]
	s.executions = slices.Delete(s.executions, i, i+1)
	s.lastUsed = time.Now()
	if _, delivered, whole := r.reader.seen(); whole {
		r.output = delivered
	}
	s.remember(r)
	switch done.State {
	case kernel.StatePreserved:
		s.deaths = nil
	case kernel.StateLost: // the kernel is dead or about to die: nothing more is sent to it
		if s.state == StateReady {
			s.setState(StateRestarting)
		}
	}
}

// dropConn takes the connection away, so that nothing is delivered or sent any more.
func (s *session) dropConn() {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

// useConn makes conn the session's connection, repeats on it the executions under way (a supervisor that knows them
// resumes) and what is read of others, and watches it.
func (s *session) useConn(conn *kernel.Conn) {
	s.sending.Lock()
	s.mu.Lock()
	s.conn = conn
	var repeat []kernel.Request
	for _, r := range s.executions {
		repeat = append(repeat, r.repetition())
		if r.interrupted {
			repeat = append(repeat, kernel.Request{Op: kernel.OpInterrupt, ID: r.id})
		}
	}
	for _, r := range s.finished {
		if r.reader != nil && !r.archived && r.reader.reads() {
			repeat = append(repeat, r.repetition())
		}
	}
	s.mu.Unlock()
	for _, request := range repeat { // a connection that breaks meanwhile is noticed by the watch
		_ = conn.Send(request)
	}
	s.sending.Unlock()
	s.m.inBackground(func(ctx context.Context) { s.watch(ctx, conn) })
}

// repetition returns what asks a new connection for an execution, from where its reader is. Nothing of an older reader
// comes on that connection. The caller holds mu.
func (r *run) repetition() kernel.Request {
	r.awaited = false
	request := r.request
	request.After = r.after()
	request.Reader = r.number
	return request
}

// after returns what its reader has seen of an execution, as a supervisor may be told: nobody has seen more than was heard
// here, whatever a client says, and this session has to hear the done. The caller holds mu.
func (r *run) after() uint64 {
	seq, _, _ := r.reader.seen()
	if r.done != nil && !r.over {
		return min(seq, r.done.Seq-1)
	}
	return min(seq, r.seq)
}
