package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"cubby/orchestrator/kernel"
)

// Execution returns where an execution stands: one under way, one of the last of the context's generation, or one that a
// lost generation has left its ending of. Whoever is given an ending by which state was lost has been told of that.
// Errors: ErrNotFound, with words that tell what may have happened to it.
func (m *Manager) Execution(_ context.Context, contextID, executionID string) (ExecutionStatus, error) {
	s, leave, err := m.enter(contextID)
	if err != nil {
		return ExecutionStatus{}, err
	}
	defer leave()
	s.mu.Lock()
	r, _ := s.known(executionID)
	if r == nil {
		defer s.mu.Unlock()
		return ExecutionStatus{}, s.unknown(executionID)
	}
	status := s.status(r)
	s.mu.Unlock()
	if status.Done != nil {
		s.heard(status.Generation, *status.Done)
	}
	return status, nil
}

// Follow makes the caller the reader of an execution, from the first event after a sequence number to its done, wherever
// the execution stands. An older reader's Next returns ErrReplaced. A caller who has read the done is given the late
// output that the journal has. Where the execution's generation is gone there is only the done, after a gap where output
// is known to be missing. ctx bounds nothing: Follow does not wait. Errors: ErrNotFound, as from Execution.
func (m *Manager) Follow(_ context.Context, contextID, executionID string, after uint64) (*Execution, error) {
	s, leave, err := m.enter(contextID)
	if err != nil {
		return nil, err
	}
	defer leave()
	s.sending.Lock() // not between the repetitions of a new connection
	defer s.sending.Unlock()
	s.mu.Lock()
	r, _ := s.known(executionID)
	if r == nil {
		defer s.mu.Unlock()
		return nil, s.unknown(executionID)
	}
	e := s.newReader(r, after)
	e.over, e.late = r.over, r.over && after >= r.done.Seq
	conn, resume := s.conn, kernel.Request{Op: kernel.OpResume, ID: executionID, After: r.after(), Reader: r.number}
	r.awaited = conn != nil
	if r.archived {
		r.conclude()
		conn = nil
	}
	s.mu.Unlock()
	if conn != nil { // else the next connection asks for it; one that breaks meanwhile is noticed by the watch
		_ = conn.Send(resume)
	}
	return e, nil
}

// newReader makes the reader of an execution, from the first event after a sequence number, in the place of the one that
// it has. The caller holds mu.
func (s *session) newReader(r *run, after uint64) *Execution {
	if r.reader != nil {
		r.reader.replace()
	}
	s.readers++
	var e *Execution
	e = NewExecution(r.id, s.record.ID, r.generation,
		func(seq uint64) { s.ack(r, e, seq) },
		func() { s.interrupt(r) })
	e.heard = func(done Event) { s.heard(r.generation, done) }
	e.lastSeq, e.partly = after, after > 0
	r.reader, r.number, r.until = e, s.readers, 0
	return e
}

// ack tells the supervisor what a reader has taken, unless it is the reader no more.
func (s *session) ack(r *run, e *Execution, seq uint64) {
	s.mu.Lock()
	reads := r.reader == e
	s.mu.Unlock()
	if reads {
		s.notify(kernel.Request{Op: kernel.OpAck, ID: r.id, Seq: seq})
	}
}

// heard notes that somebody has been given the done of an execution.
func (s *session) heard(generation int, done Event) {
	if done.State == kernel.StateLost {
		s.told(generation)
	}
}

// unknown says what may have become of an execution that nobody remembers. The caller holds mu.
func (s *session) unknown(id string) error {
	err := fmt.Errorf("execution %s of context %s %w", id, s.record.ID, ErrNotFound)
	parsed, malformed := ulid.ParseStrict(id)
	if malformed != nil {
		return err
	}
	began, loss := ulid.Time(parsed.Time()), s.record.Loss
	switch {
	case began.Before(s.record.CreatedAt.Truncate(time.Millisecond)):
		return fmt.Errorf("%w: it is older than the context", err)
	case loss.Lost > 0 && began.Before(loss.At):
		return fmt.Errorf("%w: how it ended may have been lost with the state of generation %d, at %s",
			err, loss.Lost, loss.At.Format(time.RFC3339))
	}
	return fmt.Errorf("%w: the last %d that have ended are remembered", err, kernel.Remembered)
}
