package orchestrator

import "context"

// InterruptExecution asks for the end of one execution, which may still wait for its turn. It returns at once; the
// execution's done says how it went. One that is over is left alone. Errors: ErrNotFound, as from Execution.
func (m *Manager) InterruptExecution(_ context.Context, contextID, executionID string) error {
	s, err := m.session(contextID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	r, underWay := s.known(executionID)
	if r == nil {
		defer s.mu.Unlock()
		return s.unknown(executionID)
	}
	s.mu.Unlock()
	if underWay >= 0 {
		s.interrupt(r)
	}
	return nil
}
