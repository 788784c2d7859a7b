package enginetest

import (
	"net"
	"sync"

	"cubby/orchestrator"
)

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

// Pause freezes a container from outside, as `docker pause` does: its supervisor hears and says nothing.
func (e *Engine) Pause(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.containers[id]
	c.State, c.thawed = orchestrator.ContainerPaused, make(chan struct{})
}

// Unpause lets a paused container go on.
func (e *Engine) Unpause(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.containers[id]
	c.State = orchestrator.ContainerRunning
	close(c.thawed)
}

// GoDown stops the engine, as a restart of dockerd begins: calls fail, bridges and streams of events break.
func (e *Engine) GoDown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.down)
	for b := range e.bridges {
		_ = b.Conn.Close()
	}
}

// ComeUp starts an engine that went down. Without live restore its containers have ended meanwhile.
func (e *Engine) ComeUp(liveRestore bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = make(chan struct{})
	for _, c := range e.containers {
		if !liveRestore && c.State == orchestrator.ContainerRunning {
			c.kill()
			c.State, c.Finished, c.Reason = orchestrator.ContainerExited, true, "its container was killed"
		}
	}
}

// isDown reports whether the engine is down. The caller holds mu.
func (e *Engine) isDown() bool {
	select {
	case <-e.down:
		return true
	default:
		return false
	}
}

// bridge is the supervisor's end of an attached stream. That of a paused container passes nothing.
type bridge struct {
	net.Conn
	engine    *Engine
	container *container
	once      sync.Once
	closed    chan struct{}
}

// Read implements io.Reader.
func (b *bridge) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.wait()
	return n, err
}

// Write implements io.Writer.
func (b *bridge) Write(p []byte) (int, error) {
	b.wait()
	return b.Conn.Write(p)
}

// wait waits until the container is not paused.
func (b *bridge) wait() {
	b.engine.mu.Lock()
	thawed := b.container.thawed
	b.engine.mu.Unlock()
	select {
	case <-thawed:
	case <-b.closed:
	case <-b.container.ctx.Done():
	}
}

// Close implements io.Closer.
func (b *bridge) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.engine.mu.Lock()
		delete(b.engine.bridges, b)
		b.engine.mu.Unlock()
	})
	return b.Conn.Close()
}

// closed returns a channel that is closed.
func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
