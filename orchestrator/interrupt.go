package orchestrator

import (
	"context"
	"slices"
)

// InterruptExecution asks for the end of one execution, which may still wait for its turn. It returns at once; the
// execution's done says how it went. One that is over is left alone. Errors: ErrNotFound.
func (m *Manager) InterruptExecution(ctx context.Context, contextID, executionID string) error {
	s, err := m.session(contextID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	i := slices.IndexFunc(s.executions, func(r *running) bool { return r.ID == executionID })
	var r *running
	if i >= 0 {
		r = s.executions[i]
	}
	s.mu.Unlock()
	if r == nil { // over, or never there
		_, err := m.Execution(ctx, contextID, executionID)
		return err
	}
	s.interrupt(r)
	return nil
}
