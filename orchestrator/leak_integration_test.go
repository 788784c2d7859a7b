//go:build integration

package orchestrator_test

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// TestNothingIsLeft: contexts that come and go in parallel leave no container, volume or goroutine, and the engine
// answers all the while.
func TestNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.Remove(t.Context(), w.create(t))) // whatever is made once has been made
	before := runtime.NumGoroutine()
	watching, done := context.WithCancel(t.Context())
	socket, local := strings.CutPrefix(findEngine(t).Host, "unix://")
	require.True(t, local, "this test pings a local engine")
	var slowest time.Duration
	var pinging error
	var pinger sync.WaitGroup
	pinger.Go(func() { slowest, pinging = pingUntil(watching, socket) })
	for round := range 3 {
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				cc, err := w.Create(t.Context(), orchestrator.CreateRequest{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := w.Remove(t.Context(), cc.ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.requireEmpty(t)
		t.Logf("round %d is over", round+1)
	}
	done()
	pinger.Wait()
	require.NoError(t, pinging)
	t.Logf("slowest ping: %v", slowest)
	require.Less(t, slowest, time.Second)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, patience, 100*time.Millisecond,
		"%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// pingUntil pings the engine until ctx ends and returns the longest that it took.
func pingUntil(ctx context.Context, socket string) (slowest time.Duration, err error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	for ctx.Err() == nil {
		began := time.Now()
		answer, err := client.Get("http://engine/_ping") //nolint:noctx // it is the answer's time that counts
		if err != nil {
			return 0, err
		}
		_ = answer.Body.Close()
		slowest = max(slowest, time.Since(began))
		time.Sleep(50 * time.Millisecond)
	}
	return slowest, nil
}

// requireEmpty holds that the engine has nothing of this instance but the default workspace.
func (w *world) requireEmpty(t *testing.T) {
	t.Helper()
	contexts, err := w.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, contexts)
	containers, err := w.engine.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, containers)
	workspaces, err := w.engine.ListWorkspaces(t.Context())
	require.NoError(t, err)
	require.Len(t, workspaces, 1)
}

// TestAnAbandonedCreateLeavesNothing: the client leaves at some moment of a create.
func TestAnAbandonedCreateLeavesNothing(t *testing.T) {
	w := newWorld(t)
	for _, patient := range []time.Duration{time.Nanosecond, time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		_, err := w.Create(ctx, orchestrator.CreateRequest{})
		cancel()
		if err == nil {
			t.Logf("a create within %v", patient)
			list, err := w.List(t.Context())
			require.NoError(t, err)
			require.NoError(t, w.Remove(t.Context(), list[0].ID))
		}
	}
	w.requireEmpty(t)
}
