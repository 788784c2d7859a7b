package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-multierror"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// Remove ends a context for good and returns when its container is gone. Executions under way end as removed. Once the
// removal has begun the id is unknown to everybody else; where the engine does not carry it out, it is tried again in
// the background and, after a crash, by the next start. Errors: ErrNotFound, ErrEngine.
func (m *Manager) Remove(ctx context.Context, id string) error {
	s, err := m.session(id)
	if err != nil {
		return err
	}
	return m.remove(ctx, s, 0)
}

// remove removes a context that nobody has used for some time; ErrConflict says that somebody has.
func (m *Manager) remove(ctx context.Context, s *session, idle time.Duration) error {
	if err := s.lock(ctx); err != nil {
		return fmt.Errorf("remove a context: %w", err)
	}
	defer s.unlock()
	id, container, err := s.beginRemoval(idle)
	if err != nil {
		return err
	}
	if err := s.put(func(r *store.Context) { r.Removing = true }); err != nil {
		s.mu.Lock()
		s.removed = false
		s.mu.Unlock()
		return err
	}
	m.delist(id)
	s.dropConn()
	s.endExecutions(kernel.EndingRemoved, "the context was removed")()
	return m.discard(ctx, id, container)
}

// beginRemoval makes a session the remover's: from here on nobody enters it. That nobody uses it is looked at in the same
// step, so that what is reaped is idle.
func (s *session) beginRemoval(idle time.Duration) (id, container string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, container = s.record.ID, s.container
	switch {
	case s.removed:
		return "", "", fmt.Errorf("context %s %w", id, ErrNotFound)
	case idle > 0 && s.idleFor(time.Now()) < idle:
		return "", "", fmt.Errorf("%w: context %s is in use again", ErrConflict, id)
	}
	s.removed = true
	s.setState(s.state) // wake who waits for it to become ready
	return id, container, nil
}

// discard removes the containers of a context that is no more, and then its record, and gives its place back. What the
// engine refuses is tried again in the background; a crash leaves it to the next start, since the record stays.
func (m *Manager) discard(ctx context.Context, id string, containers ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if err := m.finishRemoval(ctx, id, containers); err != nil {
		m.inBackground(func(ctx context.Context) {
			_ = m.persist(ctx, func(ctx context.Context) error { return m.finishRemoval(ctx, id, containers) })
		})
		return fmt.Errorf("the removal is tried again: %w", err)
	}
	return nil
}

// finishRemoval is one attempt of discard.
func (m *Manager) finishRemoval(ctx context.Context, id string, containers []string) error {
	for _, container := range containers {
		if container == "" {
			continue
		}
		if err := m.Engine.Remove(ctx, container); err != nil {
			return err
		}
	}
	if err := m.Store.DeleteContext(id); err != nil {
		return err
	}
	m.mu.Lock()
	m.creating--
	m.mu.Unlock()
	return nil
}

// RemoveAll removes every context. One that somebody else has removed meanwhile is no error.
func (m *Manager) RemoveAll(ctx context.Context) error {
	var group multierror.Group
	for _, s := range m.all() {
		group.Go(func() error {
			if err := m.Remove(ctx, s.describe().ID); !errors.Is(err, ErrNotFound) {
				return err
			}
			return nil
		})
	}
	return group.Wait().ErrorOrNil()
}

// persist repeats f, ever more slowly, until it succeeds or ctx ends. The first try is made even when ctx has ended, so
// that a shutdown still removes what it can.
func (m *Manager) persist(ctx context.Context, f func(ctx context.Context) error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		err := f(trying)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}
