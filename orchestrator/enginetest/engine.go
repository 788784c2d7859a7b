package enginetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"cubby/orchestrator"
	"cubby/orchestrator/supervisor"
)

// Hooks are called at the beginning of a call of the engine. An error that one returns is that of the call, which then
// does nothing. Nil hooks do nothing.
type Hooks struct {
	Start  func() error
	Attach func() error
	Remove func() error
	List   func() error
	Image  func() error
	Setup  func() error // of a kernel, by a claim: its error is that of the working directory

	Boot func(image string) error // of a kernel: its error is why it does not boot
}

// Engine is an orchestrator.Engine, Workspaces and Images.
type Engine struct {
	tb      testing.TB
	gates   *gates
	running sync.WaitGroup

	mu         sync.Mutex
	hooks      Hooks
	started    int
	containers map[string]*container
	workspaces map[string]bool
	watchers   map[chan orchestrator.ContainerEvent]bool
	bridges    map[*bridge]bool
	down       chan struct{} // closed while the engine is down
}

var (
	_ orchestrator.Engine     = (*Engine)(nil)
	_ orchestrator.Workspaces = (*Engine)(nil)
	_ orchestrator.Images     = (*Engine)(nil)
)

// container is a container of the fake: the supervisor, and what the engine knows of it.
type container struct {
	orchestrator.Container
	supervisor *supervisor.Supervisor
	kernel     *script
	ctx        context.Context //nolint:containedctx // the container's life
	kill       context.CancelFunc
	thawed     chan struct{} // closed unless the container is paused
}

// New returns an engine without containers. What it holds ends with the test.
func New(tb testing.TB) *Engine {
	tb.Helper()
	e := &Engine{
		tb: tb, gates: newGates(), containers: map[string]*container{}, workspaces: map[string]bool{},
		watchers: map[chan orchestrator.ContainerEvent]bool{}, bridges: map[*bridge]bool{}, down: make(chan struct{}),
	}
	tb.Cleanup(func() {
		e.mu.Lock()
		for _, c := range e.containers {
			c.kill()
		}
		e.mu.Unlock()
		e.running.Wait()
	})
	return e
}

// Hook replaces the hooks; the zero Hooks take all away.
func (e *Engine) Hook(hooks Hooks) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks = hooks
}

// hook runs a call's hook. An engine that is down does nothing and says so.
func (e *Engine) hook(pick func(Hooks) func() error) error {
	e.mu.Lock()
	f, down := pick(e.hooks), e.isDown()
	e.mu.Unlock()
	switch {
	case down:
		return fmt.Errorf("%w: connection refused", orchestrator.ErrEngine)
	case f == nil:
		return nil
	}
	return f()
}

func (e *Engine) setup() error { return e.hook(func(h Hooks) func() error { return h.Setup }) }

// Start implements orchestrator.Engine.
func (e *Engine) Start(_ context.Context, spec orchestrator.ContainerSpec) (string, error) {
	if err := e.hook(func(h Hooks) func() error { return h.Start }); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.containers {
		if other.Name == spec.Name {
			e.tb.Errorf("two containers of the name %s", spec.Name)
		}
	}
	e.started++
	ctx, kill := context.WithCancel(context.Background())
	boot := func() error {
		return e.hook(func(h Hooks) func() error {
			if h.Boot == nil {
				return nil
			}
			return func() error { return h.Boot(spec.Image) }
		})
	}
	kernel := newScript(ctx, e.running.Go, boot, e.setup, e.gates)
	c := &container{
		Container: orchestrator.Container{
			ID: fmt.Sprintf("container-%d", e.started), Name: spec.Name, Image: spec.Image, UID: spec.UID,
			Workspace: spec.Workspace, State: orchestrator.ContainerRunning, CreatedAt: time.Now(),
		},
		supervisor: supervisor.New(supervisor.Config{Adapter: kernel, Language: "python"}), kernel: kernel,
		ctx: ctx, kill: kill, thawed: closed(),
	}
	e.containers[c.ID] = c
	e.running.Go(func() { _ = c.supervisor.Run(ctx) })
	return c.ID, nil
}

// Attach implements orchestrator.Engine.
func (e *Engine) Attach(_ context.Context, id string) (io.ReadWriteCloser, error) {
	if err := e.hook(func(h Hooks) func() error { return h.Attach }); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		e.tb.Logf("attach to %s, which is not there", id)
		return nil, fmt.Errorf("container %s: %w", id, orchestrator.ErrNotFound)
	}
	if c.State != orchestrator.ContainerRunning {
		return nil, fmt.Errorf("container %s is %s: %w", id, c.State, orchestrator.ErrConflict)
	}
	ours, theirs := net.Pipe()
	b := &bridge{Conn: theirs, engine: e, container: c, closed: make(chan struct{})}
	e.bridges[b] = true
	e.running.Go(func() { c.supervisor.ServeConn(c.ctx, b) })
	return ours, nil
}

// Remove implements orchestrator.Engine.
func (e *Engine) Remove(_ context.Context, name string) error {
	if err := e.hook(func(h Hooks) func() error { return h.Remove }); err != nil {
		return err
	}
	e.end(name, func(c *container) { delete(e.containers, c.ID) }, "removed")
	return nil
}

// List implements orchestrator.Engine.
func (e *Engine) List(context.Context) ([]orchestrator.Container, error) {
	if err := e.hook(func(h Hooks) func() error { return h.List }); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]orchestrator.Container, 0, len(e.containers))
	for _, c := range e.containers {
		list = append(list, c.Container)
	}
	slices.SortFunc(list, func(a, b orchestrator.Container) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return list, nil
}

// Watch implements orchestrator.Engine.
func (e *Engine) Watch(ctx context.Context, fn func(orchestrator.ContainerEvent)) error {
	events := make(chan orchestrator.ContainerEvent, 100)
	e.mu.Lock()
	e.watchers[events] = true
	down := e.down
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.watchers, events)
		e.mu.Unlock()
	}()
	for {
		select {
		case ev := <-events:
			fn(ev)
		case <-down:
			return fmt.Errorf("%w: connection reset", orchestrator.ErrEngine)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// CreateWorkspace implements orchestrator.Workspaces.
func (e *Engine) CreateWorkspace(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workspaces[name] = true
	return nil
}

// RemoveWorkspace implements orchestrator.Workspaces.
func (e *Engine) RemoveWorkspace(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.workspaces, name)
	return nil
}

// ListWorkspaces implements orchestrator.Workspaces.
func (e *Engine) ListWorkspaces(context.Context) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]string, 0, len(e.workspaces))
	for name := range e.workspaces {
		list = append(list, name)
	}
	return list, nil
}

// Image implements orchestrator.Images.
func (e *Engine) Image(_ context.Context, language string) (orchestrator.Image, error) {
	if err := e.hook(func(h Hooks) func() error { return h.Image }); err != nil {
		return orchestrator.Image{}, err
	}
	return orchestrator.Image{ID: "sha256:" + language, Tag: "cubby-" + language}, nil
}
