package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// claimTimeout bounds a claim: a supervisor answers it by the time that its kernel has for a setup.
const claimTimeout = 30 * time.Second

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

// up is a container whose kernel has booted, with a connection to it. After a failure only the container is there, by
// its name: empty when the engine was not asked for one, else the caller's to remove.
type up struct {
	container string
	image     Image
	conn      *kernel.Conn
}

// bringUp starts a container and waits until its kernel has booted. The caller has written the intent, and removes the
// container when this fails. The handler is the session's.
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
	if err != nil {
		return up{container: c.Name}, fmt.Errorf("image %s of %s: %w", image.Tag, language, err)
	}
	return up{container: id, image: image, conn: conn}, nil
}

// boot starts a container and connects to its supervisor. When it fails there may be a container of the spec's name. The
// error of an image whose kernel does not boot is ErrNoBoot.
func boot(ctx context.Context, engine Engine, spec ContainerSpec, handler func(Event)) (string, *kernel.Conn, error) {
	id, err := engine.Start(ctx, spec)
	if err != nil {
		return "", nil, err
	}
	conn, err := connect(ctx, engine, id, handler)
	if err != nil {
		return "", nil, unattached(ctx, engine, id, err)
	}
	if why := conn.Hello().Exited; why != "" {
		return "", nil, errors.Join(fmt.Errorf("%w: %s", ErrNoBoot, why), conn.Close())
	}
	return id, conn, nil
}

// unattached says why a new container could not be attached to: by how it has ended, if it has.
func unattached(ctx context.Context, engine Engine, id string, err error) error {
	if errors.Is(err, ErrEngine) {
		return err
	}
	if how := endOf(ctx, engine, id); how != "" {
		return fmt.Errorf("%w: the new container %s", ErrNoBoot, how)
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) { // it is not the context that is not found
		return fmt.Errorf("the new container has ended: %s", err.Error())
	}
	return err
}

// endOf says how a container has ended that could not be attached to; empty: it runs, or nobody knows. An engine sees an
// end a little later than who attaches.
func endOf(ctx context.Context, engine Engine, id string) string {
	for range 5 {
		all, err := engine.List(ctx)
		if err != nil {
			return ""
		}
		at := slices.IndexFunc(all, func(c Container) bool { return c.ID == id })
		switch {
		case at < 0:
			return "is gone"
		case all[at].State == ContainerExited:
			return cmp.Or(all[at].Reason, "has ended")
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ""
		}
	}
	return ""
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

// claim makes a container this context's, for a generation. The claim also says what is yet to be told of the generations
// before, for a server that finds the container and no record of that.
func (s *session) claim(ctx context.Context, conn *kernel.Conn, c store.Container, generation int, loss store.Loss) error {
	s.mu.Lock()
	req := kernel.Request{
		Token: c.Token, ID: s.record.ID, Generation: generation, Cwd: s.record.Cwd, Env: s.record.Env,
		Meta: metaOf(s.record, s.m.Store.Instance()),
	}
	s.mu.Unlock()
	if loss.Untold() {
		req.Meta[metaUntold] = loss.Why
	}
	return claim(ctx, conn, req)
}

// claim claims a container. A working directory that does not do is ErrInvalid.
func claim(ctx context.Context, conn *kernel.Conn, req kernel.Request) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
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
