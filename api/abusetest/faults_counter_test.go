//go:build integration

package abusetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// counter is a native execution of counting code and a client that follows it, through whatever becomes of the server.
type counter struct {
	id, execution string
	want          string // all that the code prints
	server        *server
	stop          context.CancelFunc
	following     sync.WaitGroup

	mu   sync.Mutex
	got  int   // bytes of it that have come, or that a gap has counted
	gaps int64 // bytes that gaps have counted
	done *wire.EventDone
	err  error // what is wrong with what has come
}

// count starts an execution that counts to a limit in a context, and follows it.
func (s *server) count(t *testing.T, id string, limit int) *counter {
	t.Helper()
	started, err := s.client.Start(patient(t), id, wire.StartExecution{Code: fmt.Sprintf(counting, limit)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	c := &counter{id: id, execution: started.ID, want: numbers(limit), server: s, stop: stop}
	c.following.Go(func() { c.follow(ctx) })
	t.Cleanup(func() { stop(); c.following.Wait() })
	return c
}

// follow reads the events to the done. The client resumes by itself after the last event that it has seen.
func (c *counter) follow(ctx context.Context) {
	for ev, err := range c.server.client.Events(ctx, c.id, c.execution, 0) {
		if err != nil {
			c.fail(err)
			return
		}
		c.take(ev)
	}
}

// take holds an event against what the code prints: each byte once and in order, or counted by a gap.
func (c *counter) take(ev wire.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ev := ev.(type) {
	case wire.EventOutput:
		if !strings.HasPrefix(c.want[c.got:], ev.Text) {
			c.err = fmt.Errorf("event %d is %q, and after %d bytes %.40q was to come", ev.Seq, ev.Text, c.got, c.want[c.got:])
			return
		}
		c.got += len(ev.Text)
	case wire.EventGap:
		c.got, c.gaps = c.got+int(ev.Bytes), c.gaps+ev.Bytes
	case wire.EventError:
		c.err = fmt.Errorf("%s: %s", ev.Name, ev.Value)
	case wire.EventDone:
		c.done = &ev
	}
}

func (c *counter) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// until waits until a number has come, or the end.
func (c *counter) until(t *testing.T, number int) {
	t.Helper()
	enough := len(numbers(number + 1))
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.got >= enough || c.done != nil || c.err != nil
	}, patience, time.Millisecond, "%d has not come", number)
	c.requireSound(t)
}

// requireSound holds that nothing is wrong with what has come so far.
func (c *counter) requireSound(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.NoError(t, c.err)
}

// end waits for the done: the code has counted to its end, and every number has come once or is counted as missing.
func (c *counter) end(t *testing.T) {
	t.Helper()
	defer time.AfterFunc(patience, c.stop).Stop()
	c.following.Wait()
	require.NoError(t, c.err)
	require.NotNil(t, c.done)
	require.Equal(t, "ok", c.done.Ending, "%+v", c.done)
	require.Equal(t, "preserved", c.done.State)
	require.Len(t, c.want, c.got, "what came and what is counted as missing")
	require.Zero(t, c.gaps, "what was missing")
}
