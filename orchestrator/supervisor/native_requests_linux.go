package supervisor

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// Setup implements Adapter.
func (n *native) Setup(ctx context.Context, cwd string, env map[string]string) error {
	var failed error
	send := func() error { return n.channel.send(driverRequest{Op: "setup", Cwd: cwd, Env: env}) }
	err := n.await(ctx, "setup", send, func(frame driverFrame) bool {
		if frame.Type == driverFailed {
			failed = &CwdError{Value: frame.Value}
		}
		return frame.Type == driverReady || frame.Type == driverFailed
	})
	if err != nil {
		return err
	}
	return failed
}

// Ping implements Adapter. The pong comes after an interrupt that is on its way.
func (n *native) Ping(ctx context.Context) error {
	n.mu.Lock()
	sent := n.interrupt
	n.mu.Unlock()
	if sent != nil {
		select {
		case <-sent:
		case <-n.exited:
		case <-ctx.Done():
		}
	}
	send := func() error { return n.channel.send(driverRequest{Op: "ping"}) }
	return n.await(ctx, "ping", send, func(frame driverFrame) bool { return frame.Type == driverPong })
}

// Execute implements Adapter.
func (n *native) Execute(ctx context.Context, run Run, sink Sink) error {
	outs, stdout, stderr, err := n.openOutputs(sink, newPipe)
	if err != nil {
		return err
	}
	send := func() error {
		req := driverRequest{Op: "execute", ID: run.ID, Code: run.Code, Env: run.Env}
		return errors.Join(n.channel.send(req, stdout, stderr), stdout.Close(), stderr.Close())
	}
	n.mu.Lock()
	dead := n.process.exited
	n.mu.Unlock()
	started := false
	err = n.await(ctx, "execute", send, func(frame driverFrame) bool {
		started = started || frame.Type == driverStarted
		if !started {
			return false // the earlier execution's, whose end user code has forged
		}
		switch frame.Type {
		case driverStarted:
			sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: frame.Count})
		case driverResult:
			outs.drain()
			sink.Ready(frame.size, dead) // not n.exited, which waits for this
			sink.Event(kernel.Event{Type: kernel.TypeResult, Data: frame.Data, Main: frame.Main})
		case driverError:
			outs.drain()
			sink.Event(kernel.Event{
				Type: kernel.TypeError, Name: frame.Name, Value: frame.Value, Traceback: frame.Traceback,
			})
		case driverDone:
			outs.retire()
			return true
		}
		return false
	})
	if err != nil {
		outs.retire()
	}
	return err
}

// Interrupt implements Adapter.
func (n *native) Interrupt() error {
	n.mu.Lock()
	process := n.process
	n.mu.Unlock()
	if process == nil {
		return nil
	}
	if n.language.Interrupt == interruptFrame {
		// Not waited for: a driver that does not read must not hold up the ladder. It ends with the channel.
		sent := make(chan struct{})
		n.mu.Lock()
		n.interrupt = sent
		n.mu.Unlock()
		n.reading.Go(func() { defer close(sent); _ = n.channel.send(driverRequest{Op: "interrupt"}) })
	}
	return process.signalGroup(unix.SIGINT)
}

// Kill implements Adapter.
func (n *native) Kill(ctx context.Context) error {
	n.killed.Store(true)
	return n.user.killAll(ctx)
}

// Exited implements Adapter.
func (n *native) Exited() <-chan struct{} { return n.exited }

// Exit implements Adapter.
func (n *native) Exit() Exit { return n.exit }
