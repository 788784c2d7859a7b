package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"cubby/orchestrator/store"
)

// Create makes a context and returns it once it answers. When it fails, or ctx ends first, nothing stays behind.
// Errors: ErrUnknownLanguage, ErrInvalid (the cwd, the environment), ErrTooLarge (the environment), ErrCapacity,
// ErrImageMissing, ErrEngine.
func (m *Manager) Create(ctx context.Context, req CreateRequest) (CodeContext, error) {
	s, err := m.create(ctx, req, false)
	if err != nil {
		return CodeContext{}, err
	}
	return s.describe(), nil
}

func (m *Manager) create(ctx context.Context, req CreateRequest, isDefault bool) (*session, error) {
	s, err := m.draft(req, isDefault)
	if err != nil {
		return nil, err
	}
	// The engine's calls are not cut short: an engine that was told to create does so, whoever hangs up. The client's
	// leaving is looked at after each step, and what has been made by then is removed.
	if err := m.establish(context.WithoutCancel(ctx), s, ctx.Done()); err != nil {
		return nil, err
	}
	return s, nil
}

// draft returns the session of a context that is yet to be made. It has its place, and its lifecycle is locked. A default
// context is listed from here on: who executes in it waits.
func (m *Manager) draft(req CreateRequest, isDefault bool) (*session, error) {
	language, err := m.language(req.Language)
	if err != nil {
		return nil, err
	}
	cwd := cmp.Or(req.Cwd, DefaultCwd)
	if err := errors.Join(validateCwd(cwd), validateEnv(req.Env)); err != nil {
		return nil, err
	}
	if err := m.reserve(); err != nil {
		return nil, err
	}
	s := newSession(m, store.Context{
		ID: strings.ToLower(rand.Text()), Language: language, Cwd: cwd, Env: req.Env, Sandbox: DefaultSandbox,
		Default: isDefault, CreatedAt: time.Now().UTC(), Generation: 1, Container: m.newContainer(),
	}, StateStarting)
	s.lifecycle <- struct{}{} // a kernel that dies at once waits for the creation to be over
	if isDefault {
		m.enlist(s)
	}
	return s, nil
}

// enlist lists a session, in the place that was held for it.
func (m *Manager) enlist(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, listed := m.sessions[s.record.ID]; !listed {
		m.creating--
		m.sessions[s.record.ID] = s
	}
}

// delist takes a session off the list. Its place stays taken until its container is gone.
func (m *Manager) delist(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, listed := m.sessions[id]; listed {
		delete(m.sessions, id)
		m.creating++
	}
}

// reserve holds a place for one more context. Count and reservation are one step, so no storm gets past the limit.
func (m *Manager) reserve() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sessions)+m.creating >= m.MaxContexts {
		return fmt.Errorf("%w: %d of at most %d contexts; remove one", ErrCapacity, len(m.sessions)+m.creating, m.MaxContexts)
	}
	m.creating++
	return nil
}

// errAbandoned says that whoever asked for a context has left.
var errAbandoned = errors.New("the client has left")

// establish brings a draft to life, or takes back all that it began, its place included. Either way it unlocks the
// draft's lifecycle.
func (m *Manager) establish(ctx context.Context, s *session, left <-chan struct{}) (err error) {
	var made up
	defer s.unlock()
	defer func() {
		if err != nil {
			m.abandon(ctx, s, made)
		}
	}()
	if err := m.Store.PutContext(s.record); err != nil {
		return err
	}
	if gone(left) {
		return errAbandoned
	}
	if made, err = m.bringUp(ctx, s.record.Language, s.record.Container, s.handler(s.record.Container)); err != nil {
		return err
	}
	if gone(left) {
		return errAbandoned
	}
	if err := s.claim(ctx, made.conn, s.record.Container, s.record.Generation, store.Loss{}); err != nil {
		return err
	}
	if gone(left) {
		return errAbandoned
	}
	if err := s.put(func(r *store.Context) { r.Ready, r.Container.ID = true, made.container }); err != nil {
		return err
	}
	s.adoptUp(made)
	m.enlist(s)
	return nil
}

// adoptUp makes a container that answers the session's, and the session ready.
func (s *session) adoptUp(made up) {
	s.mu.Lock()
	s.container, s.image = made.container, made.image
	s.setState(StateReady)
	s.mu.Unlock()
	s.useConn(made.conn)
}

// abandon removes what a failed creation has left. Where that fails it is tried again, and whoever asked for the context
// is told of the creation alone.
func (m *Manager) abandon(ctx context.Context, s *session, made up) {
	s.mu.Lock()
	s.removed = true
	s.setState(s.state) // wake who waits for a default context
	s.mu.Unlock()
	m.delist(s.record.ID)
	if made.conn != nil {
		_ = made.conn.Close()
	}
	if err := m.discard(ctx, s.record.ID, made.container); err != nil {
		m.log.Warn("failed creation not removed", "context", s.record.ID, "error", err)
	}
}

func gone(left <-chan struct{}) bool {
	select {
	case <-left:
		return true
	default:
		return false
	}
}
