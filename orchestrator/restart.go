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
// generation + 1. Executions under way end as restarted. It is carried out even when ctx ends. Where no new container can
// be brought up, or it does not take the context (its cwd has become a file), the old one is untouched.
// Errors: ErrNotFound, ErrInvalid (the cwd), ErrImageMissing, ErrEngine.
func (m *Manager) Restart(ctx context.Context, id string) (CodeContext, error) {
	s, leave, err := m.enter(id)
	if err != nil {
		return CodeContext{}, err
	}
	defer leave()
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
	return s.describe(), nil
}

func (s *session) isRemoved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed
}

// recreate replaces the container. Executions under way end with the given ending; of a loss that nobody asked for and
// of which none of them tells, the next one will. The new container is up, and has taken the context, before the old one
// is touched; until then a failure changes nothing, and from then on all is carried out even if ctx ends. The caller
// holds the lifecycle lock.
func (s *session) recreate(ctx context.Context, ending kernel.Ending, why string) error {
	next := s.m.newContainer()
	if err := s.put(func(r *store.Context) { r.Next = &next }); err != nil {
		return err
	}
	s.mu.Lock()
	before, old, record := s.state, s.container, s.record
	s.setState(StateRestarting)
	s.mu.Unlock()
	lost := func(l store.Loss) store.Loss {
		l = l.Happened(record.Generation, why, time.Now().UTC())
		if ending == kernel.EndingRestarted { // who restarts knows
			l = l.Tell(record.Generation)
		}
		return l
	}
	made, err := s.m.bringUp(ctx, record.Language, next, s.handler(next))
	if err == nil {
		err = s.claim(ctx, made.conn, next, record.Generation+1, lost(record.Loss))
	}
	if err != nil {
		s.mu.Lock()
		s.setState(before)
		s.mu.Unlock()
		s.m.giveBack(made) // the record names it still, for the next start
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	defer s.retire(ctx, ending, why)() // nobody is told before the record says so
	err = s.put(func(r *store.Context) {
		// A copy gets the id: the record points to next, and others read it.
		r.Container, r.Next, r.Generation, r.Failed, r.Lost = next, nil, record.Generation+1, "", ""
		r.Container.ID = made.container
		r.Loss = lost(r.Loss)
	})
	if err != nil {
		s.m.giveBack(made)
		return errors.Join(err, s.lose("its new container could not be taken into use")) // users read it: no words of the store's
	}
	s.adoptUp(made)
	s.m.removeLater(old)
	return nil
}

// giveBack removes a container that is not used after all.
func (m *Manager) giveBack(made up) {
	if made.conn != nil {
		_ = made.conn.Close()
	}
	m.removeLater(made.container)
}

// retire makes sure that nothing of the old container runs on, and ends its executions; tell tells their readers.
func (s *session) retire(ctx context.Context, ending kernel.Ending, why string) (tell func()) {
	s.mu.Lock()
	conn, container := s.conn, s.container
	s.mu.Unlock()
	if container != "" && !s.stopped(ctx, conn) {
		if err := s.m.Engine.Remove(ctx, container); err != nil { // it is tried again, later than it should be
			s.m.log.Warn("old container runs on for a while", "container", container, "error", err)
		}
	}
	s.dropConn()
	return s.endExecutions(ending, why)
}

// stopped kills what runs in a container, and reports whether the supervisor says so. What it says of the executions is
// the last that is heard of them.
func (s *session) stopped(ctx context.Context, conn *kernel.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if conn == nil {
		return false
	}
	executions, err := conn.Stop(ctx)
	if err != nil {
		return false
	}
	s.mu.Lock()
	s.learn(executions)
	s.mu.Unlock()
	return true
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
	id := s.record.ID
	s.setState(StateRestarting) // nothing more is sent to it
	s.mu.Unlock()
	s.m.log.Info("kernel died", "context", id, "reason", why)
	why = "its kernel died: " + why
	var err error
	if failed {
		err = s.fail(why + ", the third time within a minute")
	} else {
		err = s.replaceOrLose(ctx, why)
	}
	if err != nil && ctx.Err() == nil {
		s.m.log.Error("dead kernel not replaced", "context", id, "error", err)
	}
}

// holdsContainer reports whether the session has a container that may live. The caller holds the lifecycle lock, so a
// context that is restarting is one whose kernel's death has been told and not yet dealt with, and mu.
func (s *session) holdsContainer() bool { return s.state == StateReady || s.state == StateRestarting }

// replaceOrLose brings a new container; where there is none to be had, the context is lost.
func (s *session) replaceOrLose(ctx context.Context, why string) error {
	err := s.recreate(ctx, kernel.EndingLost, why)
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, s.lose(why+", and it could not be replaced"))
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
	defer s.endExecutions(kernel.EndingLost, why)()
	err := s.put(func(r *store.Context) { // who asks for it is told that it is failed, and why
		r.Failed, r.Loss = why, r.Loss.Happened(r.Generation, why, time.Now().UTC()).Tell(r.Generation)
	})
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
	defer s.endExecutions(kernel.EndingLost, why)()
	err := s.put(func(r *store.Context) {
		r.Lost = why // Next stays: its container may be there, for the next start to remove
		r.Loss = r.Loss.Happened(r.Generation, why, time.Now().UTC())
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
	if err := s.recreate(ctx, kernel.EndingLost, "its container is gone"); err != nil { // where the record says no more
		return fmt.Errorf("bring a new container for context %s: %w", id, err)
	}
	return nil
}
