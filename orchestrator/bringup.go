package orchestrator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// newContainer returns the intent of a container: a name by which it is found again, and the secret of its claim.
func (m *Manager) newContainer() store.Container {
	name := fmt.Sprintf("cubby-%.6s-%s", m.Store.Instance(), strings.ToLower(rand.Text()[:16]))
	return store.Container{Name: name, Token: rand.Text()}
}

// spec says what container a context of this manager gets.
func (m *Manager) spec(c store.Container, image Image) ContainerSpec {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ContainerSpec{
		Name: c.Name, Image: image.ID, UID: m.sandbox.UID, Workspace: m.sandbox.Workspace,
		Limits: m.Limits, Network: m.Network,
	}
}

// up is a container whose kernel has booted, with a connection to it.
type up struct {
	container string
	image     Image
	conn      *kernel.Conn
}

// bringUp starts a container and waits until its kernel has booted. When it fails nothing stays behind. The caller
// has written the intent. The handler is the session's.
func (m *Manager) bringUp(ctx context.Context, language string, c store.Container, handler func(Event)) (up, error) {
	image, err := m.Images.Image(ctx, language)
	if err != nil {
		return up{}, fmt.Errorf("image of %s: %w", language, err)
	}
	select {
	case m.starts <- struct{}{}:
		defer func() { <-m.starts }()
	case <-ctx.Done():
		return up{}, fmt.Errorf("wait for a place to start a container: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, bringUpTimeout)
	defer cancel()
	id, conn, err := boot(ctx, m.Engine, m.spec(c, image), handler)
	return up{container: id, image: image, conn: conn}, err
}

// boot starts a container and connects to its supervisor. Where that fails the container is removed.
func boot(ctx context.Context, engine Engine, spec ContainerSpec, handler func(Event)) (string, *kernel.Conn, error) {
	id, err := engine.Start(ctx, spec)
	if err != nil {
		return "", nil, fmt.Errorf("start container %s: %w", spec.Name, err)
	}
	conn, err := connect(ctx, engine, id, handler)
	if err == nil && conn.Hello().Exited != "" {
		err = fmt.Errorf("kernel did not boot: %s", conn.Hello().Exited)
		_ = conn.Close()
	}
	if err != nil {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		return "", nil, errors.Join(err, engine.Remove(cleaning, id))
	}
	return id, conn, nil
}

// connect attaches to a container's supervisor and waits for its hello.
func connect(ctx context.Context, engine Engine, id string, handler func(Event)) (*kernel.Conn, error) {
	stream, err := engine.Attach(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("attach to container %.12s: %w", id, err)
	}
	conn, err := kernel.Open(ctx, stream, handler)
	if err != nil {
		return nil, fmt.Errorf("attach to container %.12s: %w", id, err)
	}
	return conn, nil
}

// claim makes a container this context's, for a generation.
func (s *session) claim(ctx context.Context, conn *kernel.Conn, c store.Container, generation int) error {
	s.mu.Lock()
	req := kernel.Request{
		Token: c.Token, ID: s.record.ID, Generation: generation, Cwd: s.record.Cwd, Env: s.record.Env,
		Meta: metaOf(s.record, s.m.Store.Instance()),
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := conn.Claim(ctx, req)
	if refused, ok := errors.AsType[*kernel.RefusedError](err); ok && refused.Reason == kernel.RefusedCwd {
		return fmt.Errorf("%w: cwd %s: %s", ErrInvalid, req.Cwd, refused.Value)
	}
	if err != nil {
		return fmt.Errorf("claim container for context %s: %w", req.ID, err)
	}
	return nil
}
