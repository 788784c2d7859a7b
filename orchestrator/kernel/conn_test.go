package kernel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// peer is a supervisor's end of a connection, played by the test.
type peer struct {
	t      *testing.T
	stream net.Conn
	frames *kernel.Reader
}

// dial opens a connection against a peer that has said hello.
func dial(t *testing.T, handler func(kernel.Event)) (*kernel.Conn, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{t: t, stream: theirs, frames: kernel.NewReader(theirs)}
	go func() {
		_ = kernel.WriteFrame(theirs, kernel.Event{Type: kernel.TypeHello, Protocol: kernel.Protocol, Boot: "b"})
	}()
	conn, err := kernel.Open(t.Context(), ours, handler)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()); _ = theirs.Close() })
	return conn, p
}

func (p *peer) say(ev kernel.Event) { require.NoError(p.t, kernel.WriteFrame(p.stream, ev)) }

func (p *peer) hear() kernel.Request {
	var req kernel.Request
	require.NoError(p.t, p.frames.Read(&req))
	return req
}

func TestOpenRefusesWhatIsNoSupervisor(t *testing.T) {
	for name, first := range map[string]string{
		"nothing":       "",
		"no JSON":       "OCI runtime exec failed\n",
		"another frame": `{"type":"pong"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(theirs, strings.NewReader(first)); _ = theirs.Close() }()
			_, err := kernel.Open(t.Context(), ours, func(kernel.Event) {})
			require.Error(t, err)
		})
	}
	t.Run("F8 a supervisor of another version", func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.WriteString(theirs, `{"type":"hello","protocol":99}`+"\n"); _ = theirs.Close() }()
		_, err := kernel.Open(t.Context(), ours, func(kernel.Event) {})
		version, ok := errors.AsType[*kernel.VersionError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 99, version.Protocol)
		require.ErrorContains(t, err, "cubby images build")
	})
	t.Run("silence until the context ends", func(t *testing.T) {
		ours, _ := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := kernel.Open(ctx, ours, func(kernel.Event) {})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestClaim(t *testing.T) {
	for name, tc := range map[string]struct {
		reply kernel.Event
		check func(*testing.T, error)
	}{
		"granted": {kernel.Event{Type: kernel.TypeClaimed}, func(t *testing.T, err error) { t.Helper(); require.NoError(t, err) }},
		"refused": {
			kernel.Event{Type: kernel.TypeRefused, Name: string(kernel.RefusedCwd), Value: "no such directory"},
			func(t *testing.T, err error) {
				t.Helper()
				refused, ok := errors.AsType[*kernel.RefusedError](err)
				require.True(t, ok)
				require.Equal(t, kernel.RefusedCwd, refused.Reason)
				require.Equal(t, "no such directory", refused.Value)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := dial(t, func(kernel.Event) {})
			go func() {
				p.hear()
				p.say(tc.reply)
			}()
			tc.check(t, conn.Claim(t.Context(), kernel.Request{Token: "t", ID: "cc"}))
		})
	}
	t.Run("unanswered", func(t *testing.T) {
		conn, p := dial(t, func(kernel.Event) {})
		go p.hear()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, conn.Claim(ctx, kernel.Request{}), context.DeadlineExceeded)
		<-conn.Done() // a late reply could be taken for another's
	})
	t.Run("unread", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, _ := dial(t, func(kernel.Event) {})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			require.ErrorIs(t, conn.Claim(ctx, kernel.Request{}), context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(began))
		})
	})
}

func TestStop(t *testing.T) {
	conn, p := dial(t, func(kernel.Event) {})
	want := []kernel.ExecutionStatus{{ID: "1", Seq: 3, State: kernel.ExecutionRunning, Output: 5}}
	go func() {
		p.hear()
		p.say(kernel.Event{Type: kernel.TypeStopped, Executions: want})
	}()
	got, err := conn.Stop(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestEventsReachTheHandlerInOrder(t *testing.T) {
	got := make(chan kernel.Event, 10)
	_, p := dial(t, func(ev kernel.Event) { got <- ev })
	p.say(kernel.Event{Type: kernel.TypePong})
	p.say(kernel.Event{ID: "e", Seq: 1, Type: kernel.TypeStarted})
	p.say(kernel.Event{ID: "e", Type: kernel.TypeRefused, Name: "queue_full"})
	p.say(kernel.Event{Type: kernel.TypeExited, Ending: kernel.EndingCrashed})
	for _, want := range []kernel.EventType{kernel.TypeStarted, kernel.TypeRefused, kernel.TypeExited} {
		require.Equal(t, want, (<-got).Type)
	}
}

func TestPingsGoBeforeTheHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		p := &peer{t: t, stream: theirs, frames: kernel.NewReader(theirs)}
		var heard []kernel.Op
		go func() {
			for range 2 * kernel.BridgeTimeout / kernel.PingEvery { // it boots, and a bridge would leave
				heard = append(heard, p.hear().Op)
			}
			p.say(kernel.Event{Type: kernel.TypeHello, Protocol: kernel.Protocol})
		}()
		began := time.Now()
		conn, err := kernel.Open(t.Context(), ours, func(kernel.Event) {})
		require.NoError(t, err)
		require.Equal(t, 2*kernel.BridgeTimeout, time.Since(began))
		require.Equal(t, slices.Repeat([]kernel.Op{kernel.OpPing}, 8), heard)
		require.NoError(t, conn.Close())
	})
}

func TestSilentSupervisorIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, p := dial(t, func(kernel.Event) {})
		go func() { // it takes everything and says nothing
			for {
				var req kernel.Request
				if p.frames.Read(&req) != nil {
					return
				}
			}
		}()
		began := time.Now()
		<-conn.Done()
		require.ErrorIs(t, conn.Err(), kernel.ErrSilent)
		require.LessOrEqual(t, time.Since(began), kernel.BridgeTimeout+2*kernel.PingEvery)
	})
}

func TestAnsweringSupervisorIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, p := dial(t, func(kernel.Event) {})
		go func() {
			for {
				var req kernel.Request
				if p.frames.Read(&req) != nil || kernel.WriteFrame(p.stream, kernel.Event{Type: kernel.TypePong}) != nil {
					return
				}
			}
		}()
		select {
		case <-conn.Done():
			t.Fatalf("given up: %v", conn.Err())
		case <-time.After(10 * kernel.BridgeTimeout):
		}
	})
}

func TestTooLargeRequestLeavesTheConnectionUsable(t *testing.T) {
	conn, p := dial(t, func(kernel.Event) {})
	require.ErrorIs(t, conn.Send(kernel.Request{Code: strings.Repeat("x", kernel.MaxFrame)}), kernel.ErrFrameTooLarge)
	go func() { _ = conn.Send(kernel.Request{Op: kernel.OpInterrupt, ID: "e"}) }()
	require.Equal(t, kernel.OpInterrupt, p.hear().Op)
}
