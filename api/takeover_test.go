package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/store"
)

// serveReal starts a server whose contexts are real, on an engine that is not.
func serveReal(t *testing.T) (url string, engine *enginetest.Engine) {
	t.Helper()
	engine = enginetest.New(t)
	state, err := store.Open(t.TempDir())
	require.NoError(t, err)
	manager, err := orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: engine, Store: state, Logger: slog.New(slog.DiscardHandler),
		Languages: []orchestrator.Language{{Name: "python"}},
	})
	require.NoError(t, err)
	require.NoError(t, manager.Adopt(t.Context()))
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = manager.Run(ctx) })
	t.Cleanup(func() { end(); running.Wait(); require.NoError(t, state.Close()) })
	return serve(t, api.Config{Contexts: manager}), engine
}

// decode reads an answer in JSON.
func decode[T any](t *testing.T, method, url, body string) (value T) {
	t.Helper()
	res, text := ask(t, method, url, body)
	require.Less(t, res.StatusCode, http.StatusBadRequest, text)
	require.NoError(t, json.Unmarshal([]byte(text), &value), text)
	return value
}

// TestTakeover: an execution has one reader, the newest; those before are told so, and it goes on.
func TestTakeover(t *testing.T) {
	url, engine := serveReal(t)
	id := decode[wire.Context](t, "POST", url+"/contexts", `{}`).ID
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/execute",
		strings.NewReader(`{"code":"print a\ngate g\nprint b","context_id":"`+id+`"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	one := bufio.NewScanner(res.Body)
	require.True(t, one.Scan())
	require.True(t, one.Scan())
	require.Contains(t, one.Text(), `"a\n"`)
	<-engine.Waiting("g")

	busy := decode[[]wire.ListedContext](t, "GET", url+"/contexts", "")
	require.Equal(t, "busy", busy[0].State)
	running := decode[wire.Execution](t, "GET", url+"/contexts/"+id+"/executions/"+res.Header.Get(wire.HeaderExecutionID), "")
	require.Equal(t, wire.ExecutionRunning, running.State)
	require.Nil(t, running.Done)
	events := url + wire.RouteEvents.For(id, running.ID)

	two := get(t.Context(), t, events)
	require.True(t, one.Scan())
	require.JSONEq(t, `{"type":"error","name":"ReaderReplaced","value":"another reader has taken over the output of this `+
		`execution, which goes on","traceback":""}`, one.Text())
	require.False(t, one.Scan(), "no end_of_execution")
	require.NoError(t, one.Err(), "and the stream is whole")

	three := get(t.Context(), t, events)
	var replaced []string
	for two.Scan() {
		replaced = append(replaced, two.Text())
	}
	require.NoError(t, two.Err())
	require.JSONEq(t, `{"type":"replaced"}`, replaced[len(replaced)-1])

	engine.Open("g")
	var all strings.Builder
	for three.Scan() {
		all.WriteString(three.Text() + "\n")
	}
	require.NoError(t, three.Err())
	require.Contains(t, all.String(), `"text":"a\n"`)
	require.Contains(t, all.String(), `"text":"b\n"`)
	require.Contains(t, all.String(), `"ending":"ok"`)
	for range 2 { // what is over stays over, also for who reads it again
		over := decode[wire.Execution](t, "GET", url+wire.RouteExecution.For(id, running.ID), "")
		require.Equal(t, wire.ExecutionDone, over.State)
		require.Equal(t, "ok", over.Done.Ending)
		_, again := ask(t, "GET", events, "")
		require.True(t, strings.HasSuffix(all.String(), again), "from its beginning, without keepalives")
		_, last := ask(t, "GET", fmt.Sprintf("%s?after=%d", events, over.Seq), "")
		require.True(t, strings.HasSuffix(again, last))
		require.Contains(t, last, `"type":"done"`, "after all has been seen")
	}
}

// TestInterruptOfOne: of two executions the waiting one is interrupted alone.
func TestInterruptOfOne(t *testing.T) {
	url, engine := serveReal(t)
	id := decode[wire.Context](t, "POST", url+"/contexts", `{}`).ID
	start := url + wire.RouteStart.For(id)
	runs := decode[wire.Execution](t, "POST", start, `{"code":"gate g\nprint a"}`)
	waits := decode[wire.Execution](t, "POST", start, `{"code":"print b"}`)
	<-engine.Waiting("g")
	ending := func(e wire.Execution) string {
		e = decode[wire.Execution](t, "GET", url+wire.RouteExecution.For(id, e.ID), "")
		if e.Done == nil {
			return ""
		}
		return e.Done.Ending
	}
	interrupt := url + wire.RouteInterruptExecution.For(id, waits.ID)
	decode[any](t, "POST", interrupt, "")
	require.Eventually(t, func() bool { return ending(waits) == "interrupted" }, patience, time.Millisecond)
	require.Empty(t, ending(runs))
	decode[any](t, "POST", interrupt, "") // does nothing to one that is over
	engine.Open("g")
	require.Eventually(t, func() bool { return ending(runs) == "ok" }, patience, time.Millisecond)
	res, text := ask(t, "POST", url+wire.RouteInterruptExecution.For(id, "nobody"), "")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Contains(t, text, "execution nobody of context "+id+" not found")
}
