package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestHello(t *testing.T) {
	t.Run("comes once the kernel has booted", func(t *testing.T) {
		onBench(t, &scripted{bootTime: 5 * time.Second}, Config{}, func(t *testing.T, b *bench) {
			start := time.Now()
			hello := b.dial(t).hello
			require.Equal(t, 5*time.Second, time.Since(start))
			require.NotEmpty(t, hello.Boot)
			hello.Boot = ""
			require.Equal(t, kernel.Event{Type: kernel.TypeHello, Protocol: kernel.Protocol, Language: "scripted", Version: "1.0"}, hello)
		})
	})
	t.Run("tells why the kernel did not boot", func(t *testing.T) {
		err := fmt.Errorf("%w: exit status 1: no module named x", ErrExited)
		onBench(t, &scripted{bootErr: err}, Config{}, func(t *testing.T, b *bench) {
			c := b.dial(t)
			require.Equal(t, "boot the kernel: kernel exited: exit status 1: no module named x", c.hello.Exited)
			refused := c.ask(kernel.Request{Op: kernel.OpClaim, Token: "a"})
			require.Equal(t, string(kernel.RefusedDead), refused.Name)
		})
	})
	t.Run("comes even if the kernel hangs at boot", func(t *testing.T) {
		onBench(t, &scripted{bootTime: time.Hour}, Config{}, func(t *testing.T, b *bench) {
			require.Contains(t, b.dial(t).hello.Exited, "deadline exceeded")
		})
	})
	t.Run("tells the claim and the executions", func(t *testing.T) {
		k := &scripted{execute: stubborn}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.dial(t)
			c.ask(kernel.Request{Op: kernel.OpClaim, Token: "a", Generation: 3, Meta: map[string]string{"context": "x"}})
			c.execute("1", "")
			c.execute("2", "")
			require.Equal(t, kernel.TypeStarted, c.next().Type)
			hello := b.dial(t).hello
			require.True(t, hello.Claimed)
			require.Equal(t, 3, hello.Generation)
			require.Equal(t, map[string]string{"context": "x"}, hello.Meta)
			require.Equal(t, []kernel.ExecutionStatus{
				{ID: "1", Seq: 1, State: kernel.ExecutionRunning}, {ID: "2", State: kernel.ExecutionQueued},
			}, hello.Executions)
		})
	})
}

func TestClaim(t *testing.T) {
	setup := func(cwd string) error {
		if cwd == "/nowhere" {
			return &CwdError{Value: "No such directory: /nowhere"}
		}
		return nil
	}
	onBench(t, &scripted{setup: setup}, Config{}, func(t *testing.T, b *bench) {
		c := b.dial(t)
		c.execute("early", "")
		require.Equal(t, string(kernel.RefusedUnclaimed), c.next().Name)
		refused := c.ask(kernel.Request{Op: kernel.OpClaim, Token: "a", Cwd: "/nowhere"})
		require.Equal(t, string(kernel.RefusedCwd), refused.Name)
		require.Equal(t, "No such directory: /nowhere", refused.Value)
		require.Equal(t, string(kernel.RefusedRequest), c.ask(kernel.Request{Op: kernel.OpClaim}).Name, "no token")
		bad := kernel.Request{Op: kernel.OpClaim, Token: "a", Env: map[string]string{"A=B": ""}}
		require.Equal(t, string(kernel.RefusedRequest), c.ask(bad).Name, "impossible variable")

		claim := kernel.Request{Op: kernel.OpClaim, Token: "b", Generation: 2, Meta: map[string]string{"k": "v"}}
		require.Equal(t, kernel.TypeClaimed, c.ask(claim).Type, "a refused claim leaves the container free")
		require.Equal(t, kernel.TypeClaimed, b.dial(t).ask(claim).Type, "the same token is the same claim")
		refused = b.dial(t).ask(kernel.Request{Op: kernel.OpClaim, Token: "c"})
		require.Equal(t, kernel.Event{
			Type: kernel.TypeRefused, Name: string(kernel.RefusedClaim), Value: "claimed by another",
			Meta: map[string]string{"k": "v"}, Generation: 2,
		}, refused)
	})
	t.Run("kernel that does not answer is given up", func(t *testing.T) {
		k := &scripted{setup: func(string) error { return errors.New("kernel did not answer the setup") }}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.dial(t)
			c.send(kernel.Request{Op: kernel.OpClaim, Token: "a"})
			got := []kernel.Event{c.next(), c.next()} // exited and refused come in either order
			require.ElementsMatch(t, []kernel.EventType{kernel.TypeExited, kernel.TypeRefused},
				[]kernel.EventType{got[0].Type, got[1].Type})
			require.Equal(t, "kernel did not answer the setup", b.dial(t).hello.Exited)
		})
	})
}

func TestConnections(t *testing.T) {
	t.Run("newest fences the older off", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			old := b.claimed(t)
			c := b.dial(t)
			require.ErrorIs(t, old.frames.Read(new(kernel.Event)), io.EOF)
			c.execute("1", "x")
			c.ends("1", kernel.EndingOK, kernel.StatePreserved)
		})
	})
	t.Run("ping is answered while code runs", func(t *testing.T) {
		onBench(t, &scripted{execute: stubborn}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			require.Equal(t, kernel.TypePong, c.ask(kernel.Request{Op: kernel.OpPing}).Type)
		})
	})
	t.Run("garbage closes the connection and nothing else", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			_, err := c.stream.Write([]byte("{]\n"))
			require.NoError(t, err)
			require.ErrorIs(t, c.frames.Read(new(kernel.Event)), io.EOF)
			require.True(t, b.dial(t).hello.Claimed)
		})
	})
	t.Run("unknown operation is refused", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			require.Equal(t, string(kernel.RefusedRequest), b.dial(t).ask(kernel.Request{Op: "dance"}).Name)
		})
	})
	t.Run("silence of a lease's length is noticed", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			abandoned := make(chan error, 1)
			go func() { abandoned <- b.WaitAbandoned(t.Context(), 30*time.Second) }()
			time.Sleep(29 * time.Second)
			c := b.dial(t)
			time.Sleep(time.Hour)
			require.NoError(t, c.stream.Close())
			gone := time.Now()
			require.NoError(t, <-abandoned)
			require.Equal(t, 30*time.Second, time.Since(gone))
		})
	})
	t.Run("listener is served until the end", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := &scripted{execute: echo, exited: make(chan struct{})}
		s := New(Config{Adapter: k})
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ended := make(chan error, 2)
		go func() { ended <- s.Run(ctx) }()
		go func() { ended <- s.Serve(ctx, listener) }()
		stream, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		require.NoError(t, err)
		conn, err := kernel.Open(ctx, stream, func(kernel.Event) {})
		require.NoError(t, err)
		require.NoError(t, conn.Claim(ctx, kernel.Request{Token: "a"}))
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		<-conn.Done()
	})
}

func TestExecute(t *testing.T) {
	t.Run("events come in order and the done last", func(t *testing.T) {
		k := &scripted{execute: func(_ *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: 7})
			sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: 8})
			sink.Event(kernel.Event{Type: kernel.TypeStderr, Text: "e"})
			sink.Event(kernel.Event{Type: kernel.TypeError, Name: "ValueError"})
			sink.Event(kernel.Event{Type: kernel.TypeError, Name: "Another"})
			sink.Event(kernel.Event{Type: kernel.TypeDone, Ending: kernel.EndingOK})
			return nil
		}}
		meter := func() Sample { return Sample{CPUMillis: 5, MemoryBytes: 9} }
		onBench(t, k, Config{Meter: meter}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			require.Equal(t, kernel.Event{ID: "1", Seq: 1, Type: kernel.TypeStarted, Count: 7}, c.next())
			require.Equal(t, kernel.Event{ID: "1", Seq: 2, Type: kernel.TypeStderr, Text: "e"}, c.next())
			require.Equal(t, kernel.Event{ID: "1", Seq: 3, Type: kernel.TypeError, Name: "ValueError"}, c.next())
			require.Equal(t, kernel.Event{
				ID: "1", Seq: 4, Type: kernel.TypeDone, Ending: kernel.EndingError, State: kernel.StatePreserved,
				Usage: &kernel.Usage{PeakBytes: 9},
			}, c.next())
		})
	})
	t.Run("queue is served in order and has an end", func(t *testing.T) {
		release := make(chan struct{})
		k := &scripted{execute: func(k *scripted, run Run, sink Sink) error {
			<-release
			return echo(k, run, sink)
		}}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			release = make(chan struct{})
			c := b.claimed(t)
			c.execute("running", "running")
			synctest.Wait()
			for i := range kernel.QueueLength {
				c.execute(fmt.Sprint(i), fmt.Sprint(i))
			}
			c.execute("more", "more")
			require.Equal(t, []string{"more", string(kernel.RefusedQueueFull)}, pair(c.next()))
			close(release)
			c.ends("running", kernel.EndingOK, kernel.StatePreserved)
			for i := range kernel.QueueLength {
				done, text := c.done()
				require.Equal(t, fmt.Sprint(i), done.ID)
				require.Equal(t, fmt.Sprint(i), text)
			}
		})
	})
	t.Run("queue takes only so much code", func(t *testing.T) {
		onBench(t, &scripted{execute: stubborn}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("running", "")
			c.next()
			code := strings.Repeat("x", 6<<20)
			c.execute("1", code)
			c.execute("2", code)
			c.execute("3", code)
			require.Equal(t, []string{"3", string(kernel.RefusedQueueFull)}, pair(c.next()))
		})
	})
	t.Run("request that makes no sense is refused", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			for _, req := range []kernel.Request{
				{Op: kernel.OpExecute},
				{Op: kernel.OpExecute, ID: "1", TimeoutMS: -1},
				{Op: kernel.OpExecute, ID: "1", Env: map[string]string{"A": "\x00"}},
			} {
				require.Equal(t, string(kernel.RefusedRequest), c.ask(req).Name)
			}
			for _, op := range []kernel.Op{kernel.OpResume, kernel.OpInterrupt} {
				require.Equal(t, []string{"1", string(kernel.RefusedUnknown)}, pair(c.ask(kernel.Request{Op: op, ID: "1"})))
			}
		})
	})
}

// pair returns a refusal's id and reason.
func pair(ev kernel.Event) []string { return []string{ev.ID, ev.Name} }
