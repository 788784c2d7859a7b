//go:build integration

package abusetest

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
)

// TestShutdown: a server that is told to stop takes nothing new, lets short executions end, and leaves long ones and
// every context to its successor.
func TestShutdown(t *testing.T) {
	s := startServer(t)
	t.Run("F6 SIGTERM while code runs", func(t *testing.T) { drain(t, newArena(t, s)) })
	t.Run("F6 a second SIGTERM", func(t *testing.T) { stopAtOnce(t, newArena(t, s)) })
	t.Run("F11 a successor that starts meanwhile", func(t *testing.T) { handOver(t, newArena(t, s)) })
}

// signalTerm asks the server to stop, and does not wait.
func (s *server) signalTerm(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
}

// drain stops a server in which one execution ends soon and another does not.
func drain(t *testing.T, a *arena) {
	const soon, long = 150, 800
	kernel := a.box.kernel(t).pid
	counter := a.count(t, a.attacked, long)
	counter.until(t, 50)
	short := a.begin(t, a.neighbour, fmt.Sprintf(counting, soon))
	short.started(t)
	a.signalTerm(t)
	require.Eventually(t, func() bool { return a.isDraining(t) }, patience, 10*time.Millisecond, "new executions are not refused")
	got := short.wait(t)
	require.Equal(t, "ok", got.ending, "%+v", got)
	require.Equal(t, numbers(soon), got.stdout)
	a.await(t)
	require.Zero(t, a.cmd.ProcessState.ExitCode())

	a.start(t)
	counter.end(t)
	a.requireIntact(t, a.attacked)
	a.requireIntact(t, a.neighbour)
	require.Equal(t, kernel, a.box.kernel(t).pid)
}

// isDraining reports whether the server refuses executions because it is about to end, and says when to try again. It
// asks for one in a context that is not there, so that a server that takes executions runs nothing.
func (s *server) isDraining(t *testing.T) bool {
	t.Helper()
	body := strings.NewReader(`{"code":"1","context_id":"none"}`)
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.client.URL+wire.RouteExecute.Path, body)
	require.NoError(t, err)
	post.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != ""
}

// stopAtOnce sends a second signal to a server that would wait for an execution. What runs is its successor's.
func stopAtOnce(t *testing.T, a *arena) {
	st := a.begin(t, a.attacked, sleeping, wire.Execute{OnDisconnect: wire.OnDisconnectContinue})
	st.until(t, isOn)
	a.signalTerm(t)
	require.Eventually(t, func() bool { return a.isDraining(t) }, patience, 10*time.Millisecond, "the first signal has not come")
	a.signalTerm(t)
	a.await(t)
	status := a.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.Equal(t, syscall.SIGTERM, status.Signal(), "it waited all the same: %s", a.cmd.ProcessState)

	a.start(t)
	found, err := a.client.Execution(patient(t), a.attacked, st.executionID)
	require.NoError(t, err)
	require.Equal(t, wire.ExecutionRunning, found.State)
	require.NoError(t, a.client.InterruptExecution(patient(t), a.attacked, st.executionID))
	a.requireIntact(t, a.attacked)
	a.requireIntact(t, a.neighbour)
}

// handOver starts a server on the state directory of one that drains: it waits, and then serves.
func handOver(t *testing.T, a *arena) {
	st := a.begin(t, a.attacked, fmt.Sprintf(counting, 150))
	st.started(t)
	predecessor := *a.server
	predecessor.signalTerm(t)
	a.address = freeAddress(t)
	a.client = &client.Client{URL: "http://" + a.address}
	a.start(t)
	predecessor.await(t)
	require.Zero(t, predecessor.cmd.ProcessState.ExitCode())
	got := st.wait(t)
	require.Equal(t, "ok", got.ending, "%+v", got)
	require.Equal(t, numbers(150), got.stdout)
	log, err := os.ReadFile(a.log)
	require.NoError(t, err)
	stopping, stopped := strings.LastIndex(string(log), "msg=stopping"), strings.LastIndex(string(log), "msg=\"stopped")
	listening := strings.LastIndex(string(log), "msg=listening")
	require.True(t, 0 < stopping && stopping < stopped && stopped < listening, "one serves after the other has stopped")
	require.ElementsMatch(t, []string{a.attacked, a.neighbour}, a.ids(t))
	a.requireIntact(t, a.attacked)
	a.requireIntact(t, a.neighbour)
	require.Equal(t, a.box.id, a.container(t, a.attacked).id)
}
