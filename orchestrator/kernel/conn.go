package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrSilent says that a supervisor has answered nothing, not even a ping, for BridgeTimeout.
var ErrSilent = errors.New("supervisor is silent")

// RefusedError is a supervisor's refusal of a request.
type RefusedError struct {
	Reason     Refusal
	Value      string            // words for a person
	Meta       map[string]string // RefusedClaim: the owner's
	Generation int               // RefusedClaim: the owner's
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("supervisor refused: %s: %s", e.Reason, e.Value)
}

// VersionError says that a supervisor is of another version of cubby.
type VersionError struct {
	Protocol int // that it speaks
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the supervisor speaks protocol %d, this program protocol %d", e.Protocol, Protocol)
}

// Conn is a connection to one supervisor. Its methods may be called concurrently, but not from its handler, except
// for Send.
type Conn struct {
	stream  io.ReadWriteCloser
	handler func(Event)
	hello   Event

	writing sync.Mutex // held for one frame
	control sync.Mutex // held from a claim or stop to its reply
	replies chan Event

	closing sync.Once
	quit    chan struct{} // closed by the first close
	done    chan struct{} // closed when the reader and the pinger have ended
	err     error         // why; read after done
	heard   chan struct{} // a frame came in; capacity 1
}

// Open waits for the hello on stream and returns the connection, which owns the stream from then on. The handler is
// called for every event of an execution, for resumed, for refusals that name one, and for exited; one at a time, in the
// order of arrival. It must not block: nothing else is read meanwhile. For a supervisor of another version the error is a
// *VersionError. Open starts two goroutines; Close ends them.
func Open(ctx context.Context, stream io.ReadWriteCloser, handler func(Event)) (*Conn, error) {
	c := &Conn{
		stream: stream, handler: handler,
		replies: make(chan Event, 1), quit: make(chan struct{}), done: make(chan struct{}), heard: make(chan struct{}, 1),
	}
	stop := context.AfterFunc(ctx, func() { c.close(context.Cause(ctx)) })
	var running sync.WaitGroup
	running.Go(c.ping) // the kernel may take longer to boot than a bridge bears silence
	frames := NewReader(stream)
	err := frames.Read(&c.hello)
	if !stop() { // ctx ended first and has closed the stream
		return nil, fmt.Errorf("wait for the supervisor's hello: %w", context.Cause(ctx))
	}
	switch {
	case err != nil:
	case c.hello.Type != TypeHello:
		err = fmt.Errorf("first frame is %q", c.hello.Type)
	case c.hello.Protocol != Protocol:
		err = fmt.Errorf("%w: build the image again (cubby images build, or images add for a language of your own)", &VersionError{Protocol: c.hello.Protocol})
	}
	if err != nil {
		c.close(err)
		return nil, fmt.Errorf("read the supervisor's hello: %w", err)
	}
	c.heard <- struct{}{}
	running.Go(func() { c.close(c.read(frames)) })
	go func() { running.Wait(); close(c.done) }()
	return c, nil
}

// Hello is the supervisor's first frame.
func (c *Conn) Hello() Event { return c.hello }

// Done is closed when the connection has ended and the handler will not be called again.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended. It is io.EOF after an orderly end and only valid once Done is closed.
func (c *Conn) Err() error { return c.err }

// Close ends the connection and waits until the handler has returned for the last time.
func (c *Conn) Close() error {
	c.close(io.ErrClosedPipe)
	<-c.done
	return nil
}

// Send writes one request. It returns before the supervisor has seen it. ErrFrameTooLarge leaves the connection usable.
func (c *Conn) Send(req Request) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	err := WriteFrame(c.stream, req)
	if err != nil && !errors.Is(err, ErrFrameTooLarge) {
		c.close(err)
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", req.Op, err)
	}
	return nil
}

// Claim claims the container for a context. A refusal is a *RefusedError.
func (c *Conn) Claim(ctx context.Context, req Request) error {
	req.Op = OpClaim
	_, err := c.ask(ctx, req)
	return err
}

// Stop kills every process of the user and ends no execution. The journal stays readable. It returns the executions that
// the supervisor remembers, as they stand then.
func (c *Conn) Stop(ctx context.Context) ([]ExecutionStatus, error) {
	stopped, err := c.ask(ctx, Request{Op: OpStop})
	return stopped.Executions, err
}

// ask sends a request that has exactly one reply, and returns that. One that gets none before ctx ends leaves the
// connection closed, since a late reply could be taken for the next request's.
func (c *Conn) ask(ctx context.Context, req Request) (Event, error) {
	c.control.Lock()
	defer c.control.Unlock()
	stop := context.AfterFunc(ctx, func() { c.close(context.Cause(ctx)) }) // also while a write waits
	defer stop()
	if err := c.Send(req); err != nil {
		return Event{}, errors.Join(err, ctx.Err())
	}
	select {
	case ev := <-c.replies:
		if ev.Type == TypeRefused {
			return ev, &RefusedError{Reason: Refusal(ev.Name), Value: ev.Value, Meta: ev.Meta, Generation: ev.Generation}
		}
		return ev, nil
	case <-c.done:
		return Event{}, fmt.Errorf("wait for the reply to %s: %w", req.Op, c.err)
	}
}

// read delivers frames until the stream ends.
func (c *Conn) read(frames *Reader) error {
	for {
		var ev Event
		if err := frames.Read(&ev); err != nil {
			return err
		}
		select {
		case c.heard <- struct{}{}:
		default:
		}
		switch {
		case ev.ID != "" || ev.Type == TypeExited:
			c.handler(ev)
		case ev.Type == TypeClaimed, ev.Type == TypeStopped, ev.Type == TypeRefused:
			select {
			case c.replies <- ev:
			default: // nobody asked
			}
		}
	}
}

// ping keeps the bridge alive and notices a supervisor that no longer answers. Before its hello it answers nothing.
func (c *Conn) ping() {
	tick := time.NewTicker(PingEvery)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-c.quit:
			return
		case <-c.heard:
			last = time.Now()
		case <-tick.C:
			if !last.IsZero() && time.Since(last) > BridgeTimeout {
				c.close(ErrSilent)
				return
			}
			if c.writing.TryLock() { // a long write is a sign of life of its own, or ends by the silence
				err := WriteFrame(c.stream, Request{Op: OpPing})
				c.writing.Unlock()
				if err != nil {
					c.close(err)
				}
			}
		}
	}
}

// close records the first reason and closes the stream, which ends the reader.
func (c *Conn) close(reason error) {
	c.closing.Do(func() {
		c.err = reason
		close(c.quit)
		_ = c.stream.Close()
	})
}
