package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// session is the manager's private record of a context: what is intended (its record), what runs (container and
// connection), and the executions under way.
//
// Three locks. lifecycle is held by whoever replaces or removes the container, across engine calls. sending keeps the
// order of executions on the wire that of the list; it is held for a write to the bridge, which is always read. mu guards
// the fields below it, never across I/O. Order: lifecycle, sending, the manager's mu, mu.
type session struct {
	m         *Manager
	lifecycle chan struct{} // capacity 1
	sending   sync.Mutex

	mu         sync.Mutex
	record     store.Context
	state      State
	changed    chan struct{} // closed, and replaced, when state changes
	image      Image
	container  string
	conn       *kernel.Conn // nil while there is none
	executions []*running   // in the order in which they were sent
	removed    bool
	inside     int       // requests that use the context now
	lastUsed   time.Time // when the last of them left
	deaths     []time.Time
	lossTold   bool // somebody has learned, by the end of an execution, that the state of this container is lost
}

// running is an execution under way, with what repeats it on a new connection: its execute, and once it has started a
// resume, so that code is kept no longer than it may be needed.
type running struct {
	*Execution
	request     kernel.Request // guarded by the session's mu
	interrupted bool
}

func newSession(m *Manager, record store.Context, state State) *session {
	return &session{
		m: m, record: record, state: state, lastUsed: time.Now(),
		lifecycle: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// lock takes the lifecycle lock, or gives up with ctx.
func (s *session) lock(ctx context.Context) error {
	select {
	case s.lifecycle <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) unlock() { <-s.lifecycle }

// describe returns the context as the world sees it.
func (s *session) describe() CodeContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	cc := CodeContext{
		ID: s.record.ID, Language: s.record.Language, Cwd: s.record.Cwd, Sandbox: s.record.Sandbox,
		CreatedAt: s.record.CreatedAt, LastUsedAt: s.lastUsed, Generation: s.record.Generation,
		State: s.state, Image: s.image, Container: s.container, Limits: s.m.Limits, Network: s.m.Network,
	}
	switch s.state {
	case StateReady:
		if len(s.executions) > 0 {
			cc.State = StateBusy
		}
	case StateFailed:
		cc.Reason = s.record.Failed
	case StateLost:
		cc.Reason = s.record.Lost
	}
	return cc
}

// setState moves the session on and wakes who waits for that. The caller holds mu.
func (s *session) setState(state State) {
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
}

// put writes a changed record to the store, and takes it over when it is on disk. The caller holds the lifecycle lock.
func (s *session) put(change func(*store.Context)) error {
	s.mu.Lock()
	record := s.record
	s.mu.Unlock()
	change(&record)
	if err := s.m.Store.PutContext(record); err != nil {
		return fmt.Errorf("context %s: %w", record.ID, err)
	}
	s.mu.Lock()
	s.record = record
	s.mu.Unlock()
	return nil
}

// enter notes that a request uses the context; the returned function, that it has left.
func (s *session) enter() func() {
	s.mu.Lock()
	s.inside++
	s.mu.Unlock()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inside--
		s.lastUsed = time.Now()
	})
}

// idleFor is how long nobody has used the context; 0 while somebody does.
func (s *session) idleFor(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside > 0 || len(s.executions) > 0 || s.state == StateRestarting {
		return 0
	}
	return now.Sub(s.lastUsed)
}

// handler returns what takes the events of one container.
func (s *session) handler(c store.Container) func(Event) {
	return func(ev Event) {
		if ev.Type == kernel.TypeExited {
			s.m.inBackground(func(ctx context.Context) { s.kernelDied(ctx, c.Name, ev.Value) })
			return
		}
		s.deliver(ev)
	}
}

// deliver takes one event of an execution. It is called by a connection's reader and does not block.
func (s *session) deliver(ev Event) {
	if ev.Type == kernel.TypeRefused { // by a kernel that died before the request came, or by one that has forgotten it
		ev = unrun(ev)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.executions, func(r *running) bool { return r.ID == ev.ID })
	if i < 0 {
		return // late output of a finished execution
	}
	r := s.executions[i]
	r.Deliver(ev)
	switch ev.Type {
	case kernel.TypeStarted:
		r.request = kernel.Request{Op: kernel.OpResume, ID: r.ID}
	case kernel.TypeDone:
		s.executions = slices.Delete(s.executions, i, i+1)
		s.lastUsed = time.Now()
		switch ev.State {
		case kernel.StatePreserved:
			s.deaths = nil
		case kernel.StateLost: // the kernel is dead or about to die: nothing more is sent to it
			s.lossTold = s.lossTold || r.heard()
			if s.state == StateReady {
				s.setState(StateRestarting)
			}
		}
	}
}

// endExecutions writes the done of every execution under way, which the supervisor cannot or must not. The caller has
// made sure that no connection delivers any more.
func (s *session) endExecutions(ending kernel.Ending, why string) {
	s.mu.Lock()
	ended := s.executions
	s.executions = nil
	s.lastUsed = time.Now()
	s.lossTold = s.lossTold || slices.ContainsFunc(ended, func(r *running) bool { return r.heard() })
	s.mu.Unlock()
	for _, r := range ended {
		r.Deliver(Event{
			ID: r.ID, Type: kernel.TypeDone, Time: time.Now(), Ending: ending, State: kernel.StateLost, Value: why,
		})
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
// resumes), and watches it.
func (s *session) useConn(conn *kernel.Conn) {
	s.sending.Lock()
	s.mu.Lock()
	s.conn = conn
	var repeat []kernel.Request
	for _, r := range s.executions {
		request := r.request
		request.After = max(request.After, r.seen())
		repeat = append(repeat, request)
		if r.interrupted {
			repeat = append(repeat, kernel.Request{Op: kernel.OpInterrupt, ID: r.ID})
		}
	}
	s.mu.Unlock()
	for _, request := range repeat { // a connection that breaks meanwhile is noticed by the watch
		_ = conn.Send(request)
	}
	s.sending.Unlock()
	s.m.inBackground(func(ctx context.Context) { s.watch(ctx, conn) })
}

// metaOf is what a supervisor tells whoever attaches later: enough to rebuild the record.
func metaOf(record store.Context, instance string) map[string]string {
	meta := map[string]string{
		"instance": instance, "id": record.ID, "language": record.Language, "cwd": record.Cwd, "sandbox": record.Sandbox,
		"created_at": record.CreatedAt.Format(time.RFC3339Nano),
	}
	if record.Default {
		meta["default"] = "true"
	}
	return meta
}
