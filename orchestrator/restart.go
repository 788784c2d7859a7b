package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

const (
	// deathsToFail kernels that die within deathWindow, with no execution finished between them, fail a context.
	deathsToFail = 3
	deathWindow  = time.Minute
	// stopTimeout bounds the wait for a supervisor that kills its processes.
	stopTimeout = 5 * time.Second
)

// Restart gives a context a fresh kernel in a new container: same id, language, cwd, environment and workspace,
// generation + 1. Executions under way end as restarted. It is carried out even when ctx ends; where it fails, the old
// container is untouched. Errors: ErrNotFound, ErrImageMissing, ErrEngine.
func (m *Manager) Restart(ctx context.Context, id string) (CodeContext, error) {
	s, err := m.session(id)
	if err != nil {
		return CodeContext{}, err
	}
	defer s.enter()()
	if err := s.lock(ctx); err != nil {
		return CodeContext{}, fmt.Errorf("restart context %s: %w", id, err)
	}
	defer s.unlock()
	if s.isRemoved() {
		return CodeContext{}, fmt.Errorf("context %s %w", id, ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bringUpTimeout+cleanUpTimeout)
	defer cancel()
	if err := s.recreate(ctx, kernel.EndingRestarted, "the context was restarted"); err != nil {
		return CodeContext{}, err
	}
	if err := s.put(func(r *store.Context) { r.Untold = "" }); err != nil {
		return CodeContext{}, err
	}
	return s.describe(), nil
}

func (s *session) isRemoved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed
}

// recreate replaces the container. Executions under way end with the given ending. The new container is up before the
// old one is touched; until then a failure changes nothing. The caller holds the lifecycle lock.
func (s *session) recreate(ctx context.Context, ending kernel.Ending, why string) error {
	next := s.m.newContainer()
	if err := s.put(func(r *store.Context) { r.Next = &next }); err != nil {
		return err
	}
	s.mu.Lock()
	before, old, record := s.state, s.container, s.record
	s.setState(StateRestarting)
	s.mu.Unlock()
	made, err := s.m.bringUp(ctx, record.Language, next, s.handler(next))
	if err != nil {
		s.mu.Lock()
		s.setState(before)
		s.mu.Unlock()
		return errors.Join(err, s.put(func(r *store.Context) { r.Next = nil }))
	}
	s.retire(ctx, ending, why)
	if err := s.claim(ctx, made.conn, next, record.Generation+1); err != nil {
		_ = made.conn.Close()
		s.m.removeLater(made.container)
		return errors.Join(err, s.lose(fmt.Sprintf("its new container could not be claimed: %v", err)))
	}
	err = s.put(func(r *store.Context) {
		r.Container, r.Next, r.Generation, r.Failed, r.Lost = next, nil, record.Generation+1, "", ""
	})
	if err != nil { // the new container is claimed: the next start finds it by its higher generation
		return errors.Join(err, made.conn.Close(), s.lose(fmt.Sprintf("its restart could not be recorded: %v", err)))
	}
	s.adoptUp(made)
	s.m.removeLater(old)
	return nil
}

// retire makes sure that nothing of the old container runs on, and ends its executions.
func (s *session) retire(ctx context.Context, ending kernel.Ending, why string) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		stopping, cancel := context.WithTimeout(ctx, stopTimeout)
		_ = conn.Stop(stopping) // one that cannot be stopped is removed, which ends it as well
		cancel()
	}
	s.dropConn()
	s.endExecutions(ending, why)
}

// removeLater removes a container behind the caller's back; empty means none.
func (m *Manager) removeLater(container string) {
	if container == "" {
		return
	}
	m.inBackground(func(ctx context.Context) {
		err := m.persist(ctx, func(ctx context.Context) error { return m.Engine.Remove(ctx, container) })
		if err != nil {
			m.log.Warn("container not removed", "container", container, "error", err)
		}
	})
}

// kernelDied replaces the container of a kernel that died, unless the context has moved on since. The journal of the
// old one stays readable until the new one is in use.
func (s *session) kernelDied(ctx context.Context, name, why string) {
	if s.lock(ctx) != nil {
		return
	}
	defer s.unlock()
	s.mu.Lock()
	if s.removed || s.record.Container.Name != name || !s.holdsContainer() {
		s.mu.Unlock()
		return
	}
	now := time.Now()
	s.deaths = append(s.deaths, now)
	for len(s.deaths) > 0 && now.Sub(s.deaths[0]) > deathWindow {
		s.deaths = s.deaths[1:]
	}
	failed := len(s.deaths) >= deathsToFail
	told := s.lossTold
	s.lossTold = false
	id := s.record.ID
	s.mu.Unlock()
	s.m.log.Info("kernel died", "context", id, "reason", why)
	err := s.replaceDead(ctx, failed, told, why)
	if err != nil && ctx.Err() == nil {
		s.m.log.Error("dead kernel not replaced", "context", id, "error", err)
	}
}

// holdsContainer reports whether the session has a container that may live. The caller holds the lifecycle lock, so a
// context that is restarting is one whose kernel's death has been told and not yet dealt with, and mu.
func (s *session) holdsContainer() bool { return s.state == StateReady || s.state == StateRestarting }

// replaceDead brings a new container, or gives the context up.
func (s *session) replaceDead(ctx context.Context, failed, told bool, why string) error {
	if failed {
		return s.fail(fmt.Sprintf("%d kernels died within a minute, the last one with: %s", deathsToFail, why))
	}
	if !told {
		if err := s.put(func(r *store.Context) { r.Untold = "its kernel died (" + why + ")" }); err != nil {
			return err
		}
	}
	err := s.recreate(ctx, kernel.EndingLost, "the kernel died: "+why)
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, s.lose("its kernel died ("+why+") and could not be replaced"))
	}
	return err
}

// close takes no more executions and drops the connection, so that those under way can be ended.
func (s *session) close() {
	s.mu.Lock()
	s.setState(StateRestarting)
	s.mu.Unlock()
	s.dropConn()
}

// fail gives a context up: it stays listed, with the reason, until it is restarted or removed.
func (s *session) fail(why string) error {
	s.close()
	s.endExecutions(kernel.EndingLost, why)
	err := s.put(func(r *store.Context) { r.Failed, r.Untold = why, "" })
	s.mu.Lock()
	container := s.container
	s.container = ""
	s.deaths = nil
	s.setState(StateFailed)
	s.mu.Unlock()
	s.m.removeLater(container)
	return err
}

// lose notes that the container is gone. Who has an execution under way is told by its done; else the next one tells.
// The caller holds the lifecycle lock.
func (s *session) lose(why string) error {
	s.close()
	told := s.endExecutions(kernel.EndingLost, why) > 0
	err := s.put(func(r *store.Context) {
		r.Lost, r.Next = why, nil
		if !told && r.Untold == "" {
			r.Untold = why
		}
	})
	s.mu.Lock()
	container := s.container
	s.container = ""
	s.setState(StateLost)
	s.mu.Unlock()
	s.m.removeLater(container)
	return err
}

// revive gives a lost context, whose loss has been told, a new container.
func (s *session) revive(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	s.mu.Lock()
	needed := s.state == StateLost && !s.removed
	id := s.record.ID
	s.mu.Unlock()
	if !needed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bringUpTimeout+cleanUpTimeout)
	defer cancel()
	if err := s.recreate(ctx, kernel.EndingLost, ""); err != nil {
		return fmt.Errorf("bring a new container for context %s: %w", id, err)
	}
	return nil
}
