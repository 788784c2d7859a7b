package orchestrator

import (
	"context"
	"fmt"
	"slices"

	"cubby/orchestrator/kernel"
)

// Execution returns where an execution stands. Whoever asks about one that ended with the loss of state has been told of
// that. Errors: ErrNotFound.
func (m *Manager) Execution(_ context.Context, contextID, executionID string) (ExecutionStatus, error) {
	s, err := m.session(contextID)
	if err != nil {
		return ExecutionStatus{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.executions, func(r *running) bool { return r.ID == executionID })
	if i < 0 {
		return ExecutionStatus{}, fmt.Errorf("execution %s of context %s %w", executionID, contextID, ErrNotFound)
	}
	r := s.executions[i]
	return ExecutionStatus{
		ID: r.ID, Context: contextID, Generation: r.Generation, State: kernel.ExecutionRunning, Seq: r.seen(),
	}, nil
}

// Follow makes the caller the reader of an execution, from the first event after a sequence number to its done. The reader
// before gets ErrReplaced. Errors: ErrNotFound.
func (m *Manager) Follow(_ context.Context, contextID, executionID string, after uint64) (*Execution, error) {
	s, err := m.session(contextID)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.executions, func(r *running) bool { return r.ID == executionID })
	if i < 0 {
		return nil, fmt.Errorf("execution %s of context %s %w", executionID, contextID, ErrNotFound)
	}
	r := s.executions[i]
	e := NewExecution(r.ID, contextID, r.Generation, r.ack, r.Execution.interrupt)
	e.lastSeq = after
	r.Execution = e
	return e, nil
}
