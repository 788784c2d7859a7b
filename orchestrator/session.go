package orchestrator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// session is the manager's private record of a context: what is intended (its record), what runs (container and
// connection), and its executions, those under way and the last of those that have ended.
//
// Four locks. lifecycle is held by whoever replaces or removes the container, across engine calls. sending keeps the
// order of executions on the wire that of the list; it is held for a write to the bridge, which is always read. writing
// is held for a write of the record to the store. mu guards the fields below it, never across I/O. Order: lifecycle,
// sending or writing, the manager's mu, mu, an execution's own.
type session struct {
	m         *Manager
	lifecycle chan struct{} // capacity 1
	sending   sync.Mutex
	writing   sync.Mutex

	mu         sync.Mutex
	record     store.Context
	state      State
	changed    chan struct{} // closed, and replaced, when state changes
	image      Image
	container  string
	conn       *kernel.Conn // nil while there is none
	executions []*run       // under way, in the order in which they were sent
	finished   []*run       // the last ones, oldest first
	telling    *run         // whose reader is about to be told of a loss; nil: nobody is
	readers    uint64       // the number of the newest reader of any of them
	removed    bool
	inside     int       // requests that use the context now
	lastUsed   time.Time // when the last of them left
	deaths     []time.Time
}

func newSession(m *Manager, record store.Context, state State) *session {
	return &session{
		m: m, record: record, state: state, lastUsed: time.Now(), finished: recall(record.Endings),
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
		if s.underWay() > 0 {
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
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.write(change)
}

// write is put for a caller who holds writing. Who has been told of a loss meanwhile is not undone: it is written as well.
func (s *session) write(change func(*store.Context)) error {
	s.mu.Lock()
	record := s.record
	record.Endings = s.endings()
	s.mu.Unlock()
	change(&record)
	for {
		if err := s.m.Store.PutContext(record); err != nil {
			return fmt.Errorf("context %s: %w", record.ID, err)
		}
		s.mu.Lock()
		merged := record.Loss.Merge(s.record.Loss)
		if merged == record.Loss {
			s.record = record
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		record.Loss = merged
	}
}

// told notes that somebody has learned that the state of a generation is lost. Where the record says already that nobody
// has, it is written; where the loss is yet to be noted, that write will say both.
func (s *session) told(generation int) {
	s.mu.Lock()
	known := s.record.Loss.Told >= generation
	noted := s.record.Loss.Lost >= generation
	s.record.Loss = s.record.Loss.Tell(generation)
	id := s.record.ID
	s.mu.Unlock()
	if known || !noted {
		return
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isRemoved() {
		return
	}
	if err := s.write(func(*store.Context) {}); err != nil { // the next server tells it again
		s.m.log.Warn("not recorded that a loss was told", "context", id, "error", err)
	}
}

// enter notes that a request uses the context; leave, that it does no more. The error is ErrNotFound for a context that
// is removed: from then on nobody enters, and while somebody is inside nobody reaps it.
func (s *session) enter() (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed {
		return nil, fmt.Errorf("context %s %w", s.record.ID, ErrNotFound)
	}
	s.inside++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inside--
		s.lastUsed = time.Now()
	}), nil
}

// enter returns the session of a context that a request uses until it leaves. The error is ErrNotFound.
func (m *Manager) enter(id string) (s *session, leave func(), err error) {
	if s, err = m.session(id); err != nil {
		return nil, nil, err
	}
	leave, err = s.enter()
	return s, leave, err
}

// idleFor is how long nobody has used the context; 0 while somebody does. The caller holds mu.
func (s *session) idleFor(now time.Time) time.Duration {
	if s.inside > 0 || len(s.executions) > 0 || s.state == StateRestarting || s.state == StateStarting {
		return 0
	}
	return now.Sub(s.lastUsed)
}

// metaUntold is the member of a claim's meta that has the loss before it, where nobody had been told of that by then.
const metaUntold = "untold"

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
