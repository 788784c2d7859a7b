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
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

const (
	startPath  = "/contexts/abc/executions"
	eventsPath = startPath + "/01J/events"
)

// following returns contexts whose executions are all e, which runs.
func following(t *testing.T, e *orchestrator.Execution) *contexts {
	t.Helper()
	fake := executing(t, e)
	fake.follow = func(context.Context, string, string, uint64) (*orchestrator.Execution, error) { return e, nil }
	return fake
}

// get starts a request for a stream and returns its lines once the headers have come.
func get(ctx context.Context, t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	t.Cleanup(func() { _ = res.Body.Close() })
	return bufio.NewScanner(res.Body)
}

// outlives checks that an execution goes on without its reader: its output is taken, and nobody interrupts it.
func outlives(t *testing.T, e *orchestrator.Execution, taken *atomic.Uint64, interrupted *atomic.Bool) {
	t.Helper()
	const chunks = 2 * kernel.Window / kernel.AckEvery
	for seq := range uint64(chunks) {
		e.Deliver(kernel.Event{Seq: seq + 1, Type: kernel.TypeStdout, Text: strings.Repeat("a", kernel.AckEvery)})
	}
	require.Eventually(t, func() bool { return taken.Load() == chunks }, patience, time.Millisecond)
	require.False(t, interrupted.Load())
}

// lonely returns an execution that nobody may interrupt, and how far it is read.
func lonely() (e *orchestrator.Execution, taken *atomic.Uint64, interrupted *atomic.Bool) {
	taken, interrupted = new(atomic.Uint64), new(atomic.Bool)
	e = orchestrator.NewExecution("01J", "abc", 2, taken.Store, func() { interrupted.Store(true) })
	return e, taken, interrupted
}

func TestStart(t *testing.T) {
	e, taken, interrupted := lonely()
	fake := executing(t, e)
	var asked orchestrator.ExecuteRequest
	fake.execute = func(_ context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
		asked = req
		return e, nil
	}
	url := serve(t, api.Config{Contexts: fake})
	res, body := ask(t, "POST", url+startPath, `{"code":"1","env_vars":{"A":"b"},"timeout_ms":1500,"max_output_bytes":7}`)
	require.Equal(t, http.StatusCreated, res.StatusCode)
	require.JSONEq(t, `{"id":"01J","context_id":"abc","generation":2,"state":"queued","seq":0}`, body)
	require.Equal(t, startPath+"/01J", res.Header.Get("Location"))
	require.Equal(t, "01J", res.Header.Get("Cubby-Execution-Id"))
	require.Equal(t, orchestrator.ExecuteRequest{
		Context: "abc", Code: "1", Env: map[string]string{"A": "b"}, Timeout: 1500 * time.Millisecond, MaxOutput: 7,
	}, asked)
	outlives(t, e, taken, interrupted)

	fake.execute = nil
	res, body = ask(t, "POST", url+startPath, `{"code":"`+strings.Repeat("a", orchestrator.MaxCode+1)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	require.Contains(t, body, `"message":"the code may have 4194304 bytes at most"`)
}

func TestAFollower(t *testing.T) {
	t.Run("that leaves interrupts nothing, and its place is taken", func(t *testing.T) {
		e, taken, interrupted := lonely()
		ctx, leave := context.WithCancel(t.Context())
		get(ctx, t, serve(t, api.Config{Contexts: following(t, e)})+eventsPath)
		leave()
		outlives(t, e, taken, interrupted)
	})
	t.Run("that does not read is cut, and its place is taken", func(t *testing.T) {
		e, taken, interrupted := lonely()
		url := serve(t, api.Config{Contexts: following(t, e), WriteTimeout: 300 * time.Millisecond})
		conn := dial(t, url)
		require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", eventsPath)
		outlives(t, e, taken, interrupted)
	})
	t.Run("is cut by the server's own end, so that it goes on with the next one", func(t *testing.T) {
		e, _, interrupted := lonely()
		e.Deliver(started)
		served := api.New(api.Config{Contexts: following(t, e), Logger: slog.New(slog.DiscardHandler)})
		server := served.HTTPServer()
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = server.Serve(listener) }()
		lines := get(t.Context(), t, "http://"+listener.Addr().String()+eventsPath)
		require.True(t, lines.Scan())
		grace, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, server.Shutdown(grace), "it waits for no follower")
		served.Close()
		require.False(t, lines.Scan())
		require.Error(t, lines.Err(), "the stream does not end as if the execution had")
		require.False(t, interrupted.Load())
	})
}

func TestKeepaliveOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := executionOf(nil)
		server := api.New(api.Config{Contexts: following(t, e), Logger: slog.New(slog.DiscardHandler)})
		recorder := &recorder{header: http.Header{}}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+eventsPath, http.NoBody)
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			server.ServeHTTP(recorder, req)
		}()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Equal(t, strings.Repeat(`{"type":"keepalive"}`+"\n", 2), recorder.String(), "also while it waits for its turn")
		e.Deliver(done)
		<-finished
	})
}

func TestAfter(t *testing.T) {
	running := orchestrator.ExecutionStatus{ID: "01J", Context: "abc", Generation: 2, State: kernel.ExecutionRunning, Seq: 7}
	over := ended() // its done is number 9
	late := over
	late.Seq = 12
	for name, tc := range map[string]struct {
		query  string
		status orchestrator.ExecutionStatus
		code   int
		after  uint64 // that the orchestrator is asked for
		repeat bool   // the done is repeated
	}{
		"absent":                                 {"", running, 200, 0, false},
		"nothing seen":                           {"?after=0", running, 200, 0, false},
		"some seen":                              {"?after=6", running, 200, 6, false},
		"all so far":                             {"?after=7", running, 200, 7, false},
		"more than there is":                     {"?after=8", running, 400, 0, false},
		"more than there ever is":                {"?after=18446744073709551616", running, 400, 0, false},
		"below nothing":                          {"?after=-1", running, 400, 0, false},
		"a word":                                 {"?after=x", running, 400, 0, false},
		"nothing":                                {"?after=", running, 400, 0, false},
		"what cannot be read":                    {"?after=%zz", running, 400, 0, false},
		"another name":                           {"?After=6", running, 400, 0, false},
		"another name beside it":                 {"?after=6&before=9", running, 400, 0, false},
		"twice":                                  {"?after=1&after=2", running, 400, 0, false},
		"before the done":                        {"?after=8", over, 200, 8, false},
		"the done":                               {"?after=9", over, 200, 9, true},
		"late output":                            {"?after=11", late, 200, 11, true},
		"more than a lost generation's done has": {"?after=50", over, 200, 50, true},
	} {
		t.Run(name, func(t *testing.T) {
			var followed []uint64
			fake := &contexts{
				t:         t,
				execution: func(context.Context, string, string) (orchestrator.ExecutionStatus, error) { return tc.status, nil },
				follow: func(_ context.Context, _, _ string, after uint64) (*orchestrator.Execution, error) {
					followed = append(followed, after)
					return finished(), nil
				},
			}
			res, body := ask(t, "GET", serve(t, api.Config{Contexts: fake})+eventsPath+tc.query, "")
			require.Equal(t, tc.code, res.StatusCode, body)
			if tc.code != http.StatusOK {
				require.Empty(t, followed)
				require.Contains(t, body, `"message":"after`)
				return
			}
			require.Equal(t, []uint64{tc.after}, followed)
			require.Equal(t, tc.repeat, strings.Contains(body, `"type":"done","seq":9,"ending":"oom"`), "the done that was seen comes again")
		})
	}
}

func TestAHeadTakesNothingOver(t *testing.T) {
	res, _ := ask(t, "HEAD", serve(t, api.Config{Contexts: &contexts{t: t}})+eventsPath, "")
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
	require.Equal(t, "GET", res.Header.Get("Allow"))
}

func TestIDsThatAreNone(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	for _, path := range []string{"a%20b/executions/01J", "abc/executions/a%2fb", "abc/executions/" + strings.Repeat("a", 65)} {
		for _, what := range []string{"", "/events"} {
			res, _ := ask(t, "GET", url+"/contexts/"+path+what, "")
			require.Equal(t, http.StatusNotFound, res.StatusCode, path)
		}
		res, _ := ask(t, "POST", url+"/contexts/"+path+"/interrupt", "")
		require.Equal(t, http.StatusNotFound, res.StatusCode, path)
	}
}

func TestDrain(t *testing.T) {
	e, _ := watched()
	e.Deliver(started)
	fake := always(t, nil)
	fake.execute = executing(t, e).execute
	var log syncBuffer
	served := api.New(api.Config{Contexts: fake, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	server := httptest.NewServer(served)
	defer server.Close()
	lines := post(t.Context(), t, server.URL, `{"code":""}`)
	drained := make(chan struct{})
	go func() { defer close(drained); served.Drain(t.Context()) }()

	begins := map[string]string{
		"/execute": `{"code":""}`, "/contexts": `{}`, "/contexts/abc/restart": "", startPath: `{"code":""}`,
	}
	require.Eventually(t, func() bool {
		res, _ := ask(t, "POST", server.URL+"/contexts/abc/restart", "")
		return res.StatusCode == http.StatusServiceUnavailable
	}, patience, time.Millisecond)
	for path, body := range begins {
		res, text := ask(t, "POST", server.URL+path, body)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, path)
		require.Equal(t, "5", res.Header.Get("Retry-After"))
		require.Contains(t, text, "this server is stopping; try again")
		require.Equal(t, path == startPath, strings.HasPrefix(text, "{"), "E2B's clients expect plain text")
	}
	for _, path := range []string{"/health", "/contexts", "/contexts/abc", startPath + "/01J", eventsPath} {
		res, _ := ask(t, "GET", server.URL+path, "")
		require.Equal(t, http.StatusOK, res.StatusCode, path)
	}
	select {
	case <-drained:
		require.Fail(t, "an execution is under way")
	default:
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	served.Drain(hurried) // does not wait for longer than its caller
	require.Contains(t, log.String(), `msg="waiting for requests that run code or make contexts" requests=`)
	require.Contains(t, log.String(), `msg="requests are cut off; what runs goes on" requests=`)
	e.Deliver(done)
	await(t, "end of the drain", drained)
	text, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.Contains(t, string(text), "end_of_execution", "what was under way has ended as it would have")
}
