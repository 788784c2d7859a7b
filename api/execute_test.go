package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// patience bounds waits for what happens at once.
const patience = 20 * time.Second

var (
	started = kernel.Event{Type: kernel.TypeStarted, Count: 1}
	done    = kernel.Event{Type: kernel.TypeDone, Ending: kernel.EndingOK, State: kernel.StatePreserved}
)

func stdout(text string) kernel.Event {
	return kernel.Event{Type: kernel.TypeStdout, Text: text}
}

// executing returns contexts whose executions are all e.
func executing(t *testing.T, e *orchestrator.Execution) *contexts {
	t.Helper()
	return &contexts{t: t, execute: func(context.Context, orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
		return e, nil
	}}
}

// watched returns an execution without events, and a channel that its interrupt closes. An interrupt ends it.
func watched() (*orchestrator.Execution, <-chan struct{}) {
	interrupted := make(chan struct{})
	var e *orchestrator.Execution
	e = executionOf(func() {
		close(interrupted)
		e.Deliver(done)
	})
	return e, interrupted
}

func await(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		require.Fail(t, "did not happen: "+what)
	}
}

// post starts an execute and returns its lines once the headers have come.
func post(ctx context.Context, t *testing.T, url, body string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/execute", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res.Body
}

func TestLinesComeAsTheyHappen(t *testing.T) {
	e, _ := watched()
	url := serve(t, api.Config{Contexts: executing(t, e)})
	body := post(t.Context(), t, url, `{"code":""}`) // the headers come before any event
	lines := bufio.NewScanner(body)
	next := func() string {
		require.True(t, lines.Scan(), "%v", lines.Err())
		return lines.Text()
	}
	e.Deliver(started)
	require.Contains(t, next(), "number_of_executions")
	for i := range 3 {
		e.Deliver(stdout(fmt.Sprint(i)))
		require.Contains(t, next(), fmt.Sprintf(`"text":"%d"`, i))
	}
	e.Deliver(done)
	require.Contains(t, next(), "end_of_execution")
	require.False(t, lines.Scan())
	require.NoError(t, lines.Err())
}

func TestAllOutputArrives(t *testing.T) {
	e := executionOf(nil, started)
	chunk := strings.Repeat("a", kernel.MaxText)
	const chunks = 100
	for range chunks {
		e.Deliver(stdout(chunk))
	}
	e.Deliver(done)
	_, body := ask(t, "POST", serve(t, api.Config{Contexts: executing(t, e)})+"/execute", `{"code":""}`)
	require.Equal(t, chunks, strings.Count(body, chunk))
	require.Equal(t, chunks+2, strings.Count(body, "\n"))
}

func TestAClientThatLeaves(t *testing.T) {
	for name, events := range map[string][]kernel.Event{"while queued": nil, "while running": {started, stdout("a")}} {
		t.Run(name+" interrupts its execution", func(t *testing.T) {
			e, interrupted := watched()
			for _, ev := range events {
				e.Deliver(ev)
			}
			ctx, leave := context.WithCancel(t.Context())
			post(ctx, t, serve(t, api.Config{Contexts: executing(t, e)}), `{"code":""}`)
			leave()
			await(t, "interrupt", interrupted)
		})
	}
	t.Run("leaves it alone if asked to", func(t *testing.T) {
		e, interrupted := watched()
		var log syncBuffer
		url := serve(t, api.Config{Contexts: executing(t, e), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, leave := context.WithCancel(t.Context())
		post(ctx, t, url, `{"code":"","on_disconnect":"continue"}`)
		leave()
		e.Deliver(done)
		require.Eventually(t, func() bool { return strings.Contains(log.String(), "path=/execute") }, patience, time.Millisecond)
		select {
		case <-interrupted:
			require.Fail(t, "interrupted")
		default:
		}
	})
	t.Run("before its context is created ends the creation", func(t *testing.T) {
		entered, ended := make(chan struct{}), make(chan struct{})
		fake := &contexts{t: t, create: func(ctx context.Context, _ orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
			close(entered)
			<-ctx.Done()
			close(ended)
			return orchestrator.CodeContext{}, ctx.Err()
		}}
		url := serve(t, api.Config{Contexts: fake})
		conn := dial(t, url)
		fmt.Fprint(conn, "POST /contexts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		await(t, "create", entered)
		require.NoError(t, conn.Close())
		await(t, "end of the creation", ended)
	})
	t.Run("when its context is just ready gets it removed", func(t *testing.T) {
		removed := make(chan struct{})
		entered := make(chan struct{})
		fake := &contexts{t: t, create: func(ctx context.Context, _ orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
			close(entered)
			<-ctx.Done()
			return example(), nil
		}, remove: func(ctx context.Context, id string) error {
			if ctx.Err() == nil && id == "abc" {
				close(removed)
			}
			return nil
		}}
		conn := dial(t, serve(t, api.Config{Contexts: fake}))
		fmt.Fprint(conn, "POST /contexts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		await(t, "create", entered)
		require.NoError(t, conn.Close())
		await(t, "removal", removed)
	})
}

// TestOutputThatAClientHasLeftIsTaken: a supervisor holds the done back behind more than a window of it.
func TestOutputThatAClientHasLeftIsTaken(t *testing.T) {
	for _, what := range []string{wire.OnDisconnectInterrupt, wire.OnDisconnectContinue} {
		t.Run(what, func(t *testing.T) {
			var taken atomic.Uint64
			e := orchestrator.NewExecution("01J", "abc", 2, taken.Store, nil)
			e.Deliver(started)
			var log syncBuffer
			url := serve(t, api.Config{Contexts: executing(t, e), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			ctx, leave := context.WithCancel(t.Context())
			post(ctx, t, url, fmt.Sprintf(`{"code":"","on_disconnect":%q}`, what))
			leave()
			const chunks = 2 * kernel.Window / kernel.AckEvery
			for seq := range uint64(chunks) {
				e.Deliver(kernel.Event{Seq: seq + 1, Type: kernel.TypeStdout, Text: strings.Repeat("a", kernel.AckEvery)})
			}
			require.Eventually(t, func() bool { return taken.Load() == chunks }, patience, time.Millisecond)
			e.Deliver(done)
			require.Eventually(t, func() bool { return strings.Contains(log.String(), "path=/execute") }, patience, time.Millisecond)
		})
	}
}

func TestTheServersOwnEndInterruptsNothing(t *testing.T) {
	e, interrupted := watched()
	e.Deliver(started)
	var log syncBuffer
	server := api.New(api.Config{Contexts: executing(t, e), Logger: slog.New(slog.NewTextHandler(&log, nil))}).HTTPServer()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	body := post(t.Context(), t, "http://"+listener.Addr().String(), `{"code":""}`)
	grace, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, server.Shutdown(grace), context.DeadlineExceeded, "it waits for the execution")
	require.NoError(t, server.Close())
	_, err = io.ReadAll(body)
	require.Error(t, err, "the stream does not end as if the execution had")
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "path=/execute") }, patience, time.Millisecond)
	select {
	case <-interrupted:
		require.Fail(t, "interrupted")
	default:
	}
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	stuck, interrupted := watched()
	stuck.Deliver(started)
	for range 2048 { // more than both sockets hold
		stuck.Deliver(stdout(strings.Repeat("a", kernel.MaxText)))
	}
	fake := executing(t, stuck)
	fake.list = func(context.Context) ([]orchestrator.CodeContext, error) { return nil, nil }
	url := serve(t, api.Config{Contexts: fake, WriteTimeout: 300 * time.Millisecond})
	conn := dial(t, url)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	fmt.Fprint(conn, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"code\":\"\"}")
	res, _ := ask(t, "GET", url+"/contexts", "") // others are served meanwhile
	require.Equal(t, http.StatusOK, res.StatusCode)
	await(t, "interrupt", interrupted)
}

// recorder is a ResponseWriter that can be read while it is written.
type recorder struct {
	syncBuffer
	header http.Header
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) Flush()              {}

func TestKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := executionOf(nil)
		server := api.New(api.Config{Contexts: executing(t, e), Logger: slog.New(slog.DiscardHandler)})
		recorder := &recorder{header: http.Header{}}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/execute", strings.NewReader(`{"code":""}`))
		req.Header.Set("Content-Type", "application/json")
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			server.ServeHTTP(recorder, req)
		}()
		keepalives := func() int {
			synctest.Wait()
			return strings.Count(recorder.String(), `{"type":"keepalive"}`+"\n")
		}
		time.Sleep(time.Minute)
		require.Zero(t, keepalives(), "none while queued")
		e.Deliver(started)
		time.Sleep(4 * time.Second)
		require.Zero(t, keepalives(), "none before 5 s")
		time.Sleep(7 * time.Second)
		require.Equal(t, 2, keepalives(), "one for every 5 s")
		for range 10 {
			e.Deliver(stdout("a"))
			time.Sleep(4 * time.Second)
		}
		require.Equal(t, 2, keepalives(), "none between output")
		e.Deliver(done)
		<-finished
		require.True(t, strings.HasSuffix(recorder.String(), `"generation":2}`+"\n"))
	})
}
