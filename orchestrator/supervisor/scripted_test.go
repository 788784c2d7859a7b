package supervisor

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// scripted is an adapter whose kernel does what a test says.
type scripted struct {
	bootErr  error
	bootTime time.Duration
	setup    func(cwd string) error
	execute  func(k *scripted, run Run, sink Sink) error
	pingErr  error

	mu          sync.Mutex
	killErr     error
	runs        []string
	pings       int
	kills       int
	interrupts  int
	interrupted chan struct{} // an interrupt came; capacity 8
	once        sync.Once
	exited      chan struct{}
	exit        Exit
}

func (k *scripted) Boot(ctx context.Context) (string, error) {
	select {
	case <-time.After(k.bootTime):
	case <-ctx.Done():
		k.die(Exit{Value: "signal: killed"})
		return "", ctx.Err()
	}
	if k.bootErr != nil {
		k.die(Exit{Value: "exit status 1"})
	}
	return "1.0", k.bootErr
}

func (k *scripted) Setup(_ context.Context, cwd string, _ map[string]string) error {
	if k.setup == nil {
		return nil
	}
	return k.setup(cwd)
}

func (k *scripted) Execute(_ context.Context, run Run, sink Sink) error {
	k.mu.Lock()
	k.runs = append(k.runs, run.Code)
	k.mu.Unlock()
	return k.execute(k, run, sink)
}

func (k *scripted) Ping(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pings++
	for len(k.interrupted) > 0 { // whoever answers has every signal before it behind him
		<-k.interrupted
	}
	return k.pingErr
}

func (k *scripted) Interrupt() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interrupts++
	k.interrupted <- struct{}{}
	return nil
}

func (k *scripted) Kill(context.Context) error {
	k.mu.Lock()
	k.kills++
	err := k.killErr
	k.mu.Unlock()
	if err != nil {
		return err
	}
	k.die(Exit{Value: "signal: killed"})
	return nil
}

func (k *scripted) Exited() <-chan struct{} { return k.exited }
func (k *scripted) Exit() Exit              { return k.exit }

// die ends the kernel.
func (k *scripted) die(exit Exit) {
	k.once.Do(func() { k.exit = exit; close(k.exited) })
}

// failKills has the kernel survive a Kill, which fails with err; nil: no longer.
func (k *scripted) failKills(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.killErr = err
}

// counts returns how many pings and interrupts came.
func (k *scripted) counts() (pings, interrupts int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pings, k.interrupts
}

// killed returns how often the kernel was told to die.
func (k *scripted) killed() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kills
}

// echo is a kernel that prints its code and ends.
func echo(_ *scripted, run Run, sink Sink) error {
	sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: 1})
	sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: run.Code})
	return nil
}

// untilInterrupted is a kernel that runs until an interrupt, which it reports as an error, or its death.
func untilInterrupted(k *scripted, _ Run, sink Sink) error {
	sink.Event(kernel.Event{Type: kernel.TypeStarted})
	select {
	case <-k.interrupted:
		sink.Event(kernel.Event{Type: kernel.TypeError, Name: "KeyboardInterrupt"})
		return nil
	case <-k.exited:
		return ErrExited
	}
}

// stubborn is a kernel that ends only when it is killed.
func stubborn(k *scripted, _ Run, sink Sink) error {
	sink.Event(kernel.Event{Type: kernel.TypeStarted})
	<-k.exited
	return ErrExited
}

// bench is a supervisor in a bubble of virtual time.
type bench struct {
	*Supervisor
	kernel *scripted
	serve  context.Context //nolint:containedctx // of the connections
	conns  *sync.WaitGroup
}

// onBench runs a test against a supervisor with a scripted kernel.
func onBench(t *testing.T, k *scripted, cfg Config, test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if k.execute == nil {
			k.execute = echo
		}
		k.interrupted, k.exited = make(chan struct{}, 8), make(chan struct{})
		cfg.Adapter, cfg.Language = k, "scripted"
		ctx, cancel := context.WithCancel(t.Context())
		b := &bench{Supervisor: New(cfg), kernel: k, serve: ctx, conns: &sync.WaitGroup{}}
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		test(t, b)
		cancel()
		b.conns.Wait()
		require.NoError(t, <-ended)
	})
}

// client is the orchestrator's end of a connection.
type client struct {
	t      *testing.T
	stream net.Conn
	frames *kernel.Reader
	hello  kernel.Event
}

// dial opens a connection and reads its hello.
func (b *bench) dial(t *testing.T) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	b.conns.Go(func() { b.ServeConn(b.serve, theirs) })
	c := &client{t: t, stream: ours, frames: kernel.NewReader(ours)}
	c.hello = c.next()
	require.Equal(t, kernel.TypeHello, c.hello.Type)
	return c
}

// claimed opens a connection and claims the container.
func (b *bench) claimed(t *testing.T) *client {
	t.Helper()
	c := b.dial(t)
	require.Equal(t, kernel.TypeClaimed, c.ask(kernel.Request{Op: kernel.OpClaim, Token: "a", Cwd: "/home/user"}).Type)
	return c
}

// send writes a request.
func (c *client) send(req kernel.Request) {
	c.t.Helper()
	require.NoError(c.t, kernel.WriteFrame(c.stream, req))
}

// next reads a frame.
func (c *client) next() kernel.Event {
	c.t.Helper()
	var ev kernel.Event
	require.NoError(c.t, c.frames.Read(&ev))
	ev.Time = time.Time{}
	return ev
}

// ask writes a request and reads the next frame.
func (c *client) ask(req kernel.Request) kernel.Event {
	c.t.Helper()
	c.send(req)
	return c.next()
}

// execute asks for an execution.
func (c *client) execute(id, code string) {
	c.t.Helper()
	c.send(kernel.Request{Op: kernel.OpExecute, ID: id, Code: code})
}

// done reads until a done and returns it with the texts before it.
func (c *client) done() (done kernel.Event, text string) {
	c.t.Helper()
	for {
		ev := c.next()
		text += ev.Text
		if ev.Type == kernel.TypeDone {
			ev.Usage = nil
			return ev, text
		}
	}
}

// ends reads until a done and holds it against what is expected.
func (c *client) ends(id string, ending kernel.Ending, state kernel.State) kernel.Event {
	c.t.Helper()
	done, _ := c.done()
	require.Equal(c.t, []any{id, ending, state}, []any{done.ID, done.Ending, done.State}, done.Value)
	return done
}
