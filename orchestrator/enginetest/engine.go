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
}

// New returns an engine without containers. What it holds ends with the test.
func New(tb testing.TB) *Engine {
	tb.Helper()
	e := &Engine{
		tb: tb, gates: newGates(), containers: map[string]*container{}, workspaces: map[string]bool{},
		watchers: map[chan orchestrator.ContainerEvent]bool{},
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

func (e *Engine) hook(pick func(Hooks) func() error) error {
	e.mu.Lock()
	f := pick(e.hooks)
	e.mu.Unlock()
	if f == nil {
		return nil
	}
	return f()
}

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
	kernel := newScript(e.gates)
	c := &container{
		Container: orchestrator.Container{
			ID: fmt.Sprintf("container-%d", e.started), Name: spec.Name, Image: spec.Image, UID: spec.UID,
			Workspace: spec.Workspace, State: orchestrator.ContainerRunning, CreatedAt: time.Now(),
		},
		supervisor: supervisor.New(supervisor.Config{Adapter: kernel, Language: "python"}), kernel: kernel,
		ctx: ctx, kill: kill,
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
	e.running.Go(func() { c.supervisor.ServeConn(c.ctx, theirs) })
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
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Exit ends a container from outside, as `docker kill` does: it stays, exited.
func (e *Engine) Exit(id string) {
	e.end(id, func(c *container) {
		c.State, c.Finished, c.Reason = orchestrator.ContainerExited, true, "its container was killed"
	}, "killed")
}

// Restart ends a container and starts it again from outside, as `docker restart` does: it runs, and what it held is gone.
func (e *Engine) Restart(id string) {
	e.end(id, func(c *container) {
		c.State, c.Finished, c.Reason = orchestrator.ContainerRunning, true, ""
	}, "restarted")
}

// Crash ends the kernel in a container, whatever it does. The supervisor lives on.
func (e *Engine) Crash(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.containers[id]; ok {
		c.kernel.die("signal: segmentation fault")
	}
}

// Open lets all executions pass that wait at a gate, now or later.
func (e *Engine) Open(gate string) { e.gates.open(gate) }

// Waiting is closed once an execution has reached the gate.
func (e *Engine) Waiting(gate string) <-chan struct{} { return e.gates.reached(gate) }

// end ends a container, named by its id or its name.
func (e *Engine) end(name string, change func(*container), reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.ID != name && c.Name != name {
			continue
		}
		c.kill()
		change(c)
		for events := range e.watchers {
			events <- orchestrator.ContainerEvent{ID: c.ID, Reason: reason}
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
