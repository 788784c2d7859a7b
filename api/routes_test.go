package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/orchestrator"
)

const (
	shortJSON = `{"id":"abc","contextId":"abc","language":"python","cwd":"/tmp"}`
	longJSON  = `{"id":"abc","contextId":"abc","language":"python","cwd":"/tmp","generation":2,"state":"lost",` +
		`"reason":"its container was removed","image":{"id":"sha256:1","tag":"cubby-python:1"},"sandbox":"default",` +
		`"created_at":"2026-01-02T03:04:05Z","last_used_at":"2026-01-02T03:05:05Z",` +
		`"limits":{"memory_bytes":1073741824,"cpus":1,"pids":256,"file_bytes":8589934592},"network":"none"}`
	linesOK = `{"type":"number_of_executions","execution_count":1}` + "\n" +
		`{"type":"end_of_execution","ending":"ok","state":"preserved","generation":2}` + "\n"
	framesOK = `{"type":"started","seq":0,"count":1}` + "\n" +
		`{"type":"done","seq":0,"ending":"ok","state":"preserved","generation":2}` + "\n"
	statusJSON = `{"id":"01J","context_id":"abc","generation":2,"state":"done","seq":9,"done":{"ending":"oom","state":"lost",` +
		`"value":"out of memory: the kernel was killed; the context's variables are lost, and the next ` +
		`execution has a fresh kernel; use less at a time, or have the server started with a larger --memory",` +
		`"usage":{"cpu_ms":1,"wall_ms":2,"peak_bytes":3,"oom_kills":4}}}`
)

func TestRoutesSucceed(t *testing.T) {
	url := serve(t, api.Config{Contexts: always(t, nil), Version: "1.2"})
	for _, tc := range []struct{ method, path, body, want string }{
		{"GET", "/health", "", `"OK"`},
		{"POST", "/contexts", `{}`, shortJSON},
		{"GET", "/contexts?source=ci", "", "[" + strings.TrimSuffix(shortJSON, "}") + `,"state":"lost"}]`},
		{"GET", "/contexts/abc", "", longJSON},
		{"DELETE", "/contexts/abc", "", "null"},
		{"POST", "/contexts/abc/restart", "", "null"},
		{"POST", "/contexts/abc/interrupt", "", "null"},
		{"POST", "/execute", `{"code":""}`, linesOK},
		{"GET", "/contexts/abc/executions/01J", "", statusJSON},
		{"GET", "/contexts/abc/executions/01J/events", "", framesOK},
		{"GET", "/contexts/abc/executions/01J/events?after=8", "", framesOK},
		{"POST", "/contexts/abc/executions/01J/interrupt", "", "null"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			res, body := ask(t, tc.method, url+tc.path, tc.body)
			require.Equal(t, http.StatusOK, res.StatusCode, body)
			require.Equal(t, tc.want, body)
			require.NotEmpty(t, res.Header.Get("X-Request-Id"))
			require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
			switch {
			case tc.path == "/execute":
				require.NotContains(t, res.Header, "Content-Type")
				require.Equal(t, "01J", res.Header.Get("Cubby-Execution-Id"))
			case strings.Contains(tc.path, "/events"):
				require.Equal(t, "application/x-ndjson", res.Header.Get("Content-Type"))
				require.Equal(t, "01J", res.Header.Get("Cubby-Execution-Id"))
			default:
				require.Equal(t, "application/json", res.Header.Get("Content-Type"))
			}
			if tc.path == "/health" {
				require.NotContains(t, res.Header, "Cubby-Version")
			} else {
				require.Equal(t, "1.2", res.Header.Get("Cubby-Version"))
			}
		})
	}
	t.Run("no contexts is an empty list", func(t *testing.T) {
		url := serve(t, api.Config{Contexts: &contexts{t: t, list: func(context.Context) ([]orchestrator.CodeContext, error) { return nil, nil }}})
		_, body := ask(t, "GET", url+"/contexts", "")
		require.Equal(t, "[]", body)
	})
}

func TestRequestsArrive(t *testing.T) {
	var created orchestrator.CreateRequest
	var executed orchestrator.ExecuteRequest
	fake := always(t, nil)
	fake.create = func(_ context.Context, req orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
		created = req
		return example(), nil
	}
	fake.execute = func(_ context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
		executed = req
		return finished(), nil
	}
	url := serve(t, api.Config{Contexts: fake})
	post := func(path, body string) {
		res, text := ask(t, "POST", url+path, body)
		require.Equal(t, http.StatusOK, res.StatusCode, text)
	}
	t.Run("create", func(t *testing.T) {
		post("/contexts", `{"language":"PY","cwd":"/a'); x","env_vars":{"A":"b\n'\"$()"},"unknown":1}`)
		require.Equal(t, orchestrator.CreateRequest{Language: "PY", Cwd: "/a'); x", Env: map[string]string{"A": "b\n'\"$()"}}, created)
		post("/contexts", `{"language":null,"cwd":""}`)
		require.Equal(t, orchestrator.CreateRequest{}, created)
	})
	t.Run("execute", func(t *testing.T) {
		post("/execute", `{"code":"\ud83d\ude00\\ud800","context_id":"abc","language":null,"env_vars":{},"timeout_ms":1500,"max_output_bytes":7}`)
		require.Equal(t, orchestrator.ExecuteRequest{
			Context: "abc", Code: `😀\ud800`, Env: map[string]string{}, Timeout: 1500 * time.Millisecond, MaxOutput: 7,
		}, executed)
		post("/execute", `{"code":"","context_id":"","language":"ts","env_vars":null,"timeout_ms":null,"on_disconnect":"continue"}`)
		require.Equal(t, orchestrator.ExecuteRequest{Language: "ts"}, executed)
	})
	t.Run("the longest code, every byte escaped", func(t *testing.T) {
		post("/execute", `{"code":"`+strings.Repeat(`\u0001`, orchestrator.MaxCode)+`"}`)
		require.Len(t, executed.Code, orchestrator.MaxCode)
	})
}

func TestErrorsAreAnswered(t *testing.T) {
	const create, restart, remove = "POST /contexts", "POST /contexts/abc/restart", "DELETE /contexts/abc"
	const execute, get, interrupt, list = "POST /execute", "GET /contexts/abc", "POST /contexts/abc/interrupt", "GET /contexts"
	const start, status = "POST /contexts/abc/executions", "GET /contexts/abc/executions/01J"
	const events, end = status + "/events", "POST /contexts/abc/executions/01J/interrupt"
	wrap := func(kind error) error { return fmt.Errorf("%w: do this", kind) }
	secret := errors.New("open /var/lib/secret: denied")
	const remedy = "the container engine does not answer; try again, or run `cubby doctor` on the server"
	const exhausted = "the server's host is out of disk space or another resource; remove contexts, or see the server's log"
	for _, tc := range []struct {
		route  string
		err    error
		status int
		want   string // {id} stands for the request's id
	}{
		{execute, wrap(orchestrator.ErrNotFound), 404, "Context xyz not found"},
		{restart, wrap(orchestrator.ErrNotFound), 404, "Context abc not found"},
		{remove, wrap(orchestrator.ErrNotFound), 404, "Context abc not found"},
		{get, wrap(orchestrator.ErrNotFound), 404, `{"code":404,"message":"Context abc not found","request_id":"{id}"}`},
		{interrupt, wrap(orchestrator.ErrNotFound), 404, `{"code":404,"message":"Context abc not found","request_id":"{id}"}`},
		{start, wrap(orchestrator.ErrNotFound), 404, `{"code":404,"message":"not found: do this","request_id":"{id}"}`},
		{status, wrap(orchestrator.ErrNotFound), 404, `{"code":404,"message":"not found: do this","request_id":"{id}"}`},
		{events, wrap(orchestrator.ErrNotFound), 404, `{"code":404,"message":"not found: do this","request_id":"{id}"}`},
		{end, wrap(orchestrator.ErrNotFound), 404, `{"code":404,"message":"not found: do this","request_id":"{id}"}`},
		{start, wrap(orchestrator.ErrConflict), 409, `{"code":409,"message":"conflict: do this","request_id":"{id}"}`},
		{start, wrap(orchestrator.ErrCapacity), 429, `{"code":429,"message":"capacity reached: do this","request_id":"{id}"}`},
		{create, wrap(orchestrator.ErrUnknownLanguage), 400, "Failed to create context: unknown language: do this"},
		{execute, wrap(orchestrator.ErrUnknownLanguage), 400, "Failed to create context: unknown language: do this"},
		{create, wrap(orchestrator.ErrInvalid), 400, "Failed to create context: invalid request: do this"},
		{execute, wrap(orchestrator.ErrInvalid), 400, "invalid request: do this"},
		{execute, wrap(orchestrator.ErrTooLarge), 413, "too large: do this"},
		{execute, wrap(orchestrator.ErrConflict), 409, "conflict: do this"},
		{create, wrap(orchestrator.ErrCapacity), 429, "Failed to create context: capacity reached: do this"},
		{execute, wrap(orchestrator.ErrCapacity), 429, "capacity reached: do this"},
		{create, wrap(orchestrator.ErrImageMissing), 503, "Failed to create context: image missing: do this"},
		{execute, wrap(orchestrator.ErrImageMissing), 503, "Failed to create context: image missing: do this"},
		{create, wrap(orchestrator.ErrNoBoot), 503, "Failed to create context: kernel did not boot: do this"},
		{execute, wrap(orchestrator.ErrNoBoot), 503, "Failed to create context: kernel did not boot: do this"},
		{create, fmt.Errorf("%w: %w", orchestrator.ErrEngine, secret), 503, "Failed to create context: " + remedy},
		{restart, fmt.Errorf("%w: %w", orchestrator.ErrEngine, secret), 503, "Failed to restart context abc: " + remedy},
		{execute, fmt.Errorf("%w: %w", orchestrator.ErrEngine, secret), 503, remedy},
		{create, fmt.Errorf("%w: %w", orchestrator.ErrExhausted, secret), 503, "Failed to create context: " + exhausted},
		{create, fmt.Errorf("%w: %w", secret, syscall.ENOSPC), 503, "Failed to create context: " + exhausted},
		{create, secret, 500, "Failed to create context: internal error (request {id})"},
		{remove, secret, 500, "Failed to remove context abc: internal error (request {id})"},
		{execute, secret, 500, "internal error (request {id})"},
		{list, secret, 500, "internal error (request {id})"},
		{get, secret, 500, `{"code":500,"message":"Failed to look up context abc: internal error","request_id":"{id}"}`},
	} {
		t.Run(fmt.Sprintf("%s: %v", tc.route, tc.err), func(t *testing.T) {
			var log syncBuffer
			url := serve(t, api.Config{Contexts: always(t, tc.err), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			method, path, _ := strings.Cut(tc.route, " ")
			body := map[string]string{execute: `{"code":"the code","context_id":"xyz"}`, create: "{}", start: `{"code":"the code"}`}[tc.route]
			res, got := ask(t, method, url+path, body)
			require.Equal(t, tc.status, res.StatusCode)
			require.Equal(t, strings.ReplaceAll(tc.want, "{id}", res.Header.Get("X-Request-Id")), got)
			if strings.HasPrefix(got, "{") {
				require.Equal(t, "application/json", res.Header.Get("Content-Type"))
			} else {
				require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
			}
			again := []error{orchestrator.ErrCapacity, orchestrator.ErrEngine, orchestrator.ErrExhausted, syscall.ENOSPC}
			require.Equal(t, slices.ContainsFunc(again, func(kind error) bool { return errors.Is(tc.err, kind) }), res.Header.Get("Retry-After") != "")
			require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=request ") }, 5*time.Second, time.Millisecond)
			require.Equal(t, errors.Is(tc.err, secret), strings.Contains(log.String(), "/var/lib/secret"))
			require.NotContains(t, log.String(), "the code")
		})
	}
}

func TestUnknownPagesAndMethods(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/docs", 404, ""},
		{"GET", "/contexts/", 404, ""},
		{"POST", "/contexts/abc/kill", 404, ""},
		{"GET", "/contexts/abc/executions/01J/kill", 404, ""},
		{"GET", "/contexts/abc/executions", 405, "POST"},
		{"DELETE", "/contexts/abc/executions/01J", 405, "GET"},
		{"POST", "/contexts/abc/executions/01J/events", 405, "GET"},
		{"PUT", "/contexts", 405, "GET, POST"},
		{"GET", "/execute", 405, "POST"},
		{"PATCH", "/contexts/abc", 405, "DELETE, GET"},
		{"GET", "/contexts/abc/restart", 405, "POST"},
		{"DELETE", "/health", 405, "GET"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			res, body := ask(t, tc.method, url+tc.path, "")
			require.Equal(t, tc.status, res.StatusCode)
			require.Equal(t, tc.allow, res.Header.Get("Allow"))
			require.Contains(t, body, fmt.Sprintf(`{"code":%d,"message":"`, tc.status))
		})
	}
}

func TestF7APanicConcernsOneRequest(t *testing.T) {
	fake := always(t, nil)
	fake.get = func(context.Context, string) (orchestrator.CodeContext, error) { panic("boom") }
	url := serve(t, api.Config{Contexts: fake})
	res, body := ask(t, "GET", url+"/contexts/abc", "")
	require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	require.Equal(t, `{"code":500,"message":"internal error","request_id":"`+res.Header.Get("X-Request-Id")+`"}`, body)
	res, _ = ask(t, "GET", url+"/contexts", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func TestRequestID(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	for sent, echoed := range map[string]bool{
		"a-Z9": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, "a[1m": false, "é": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/health", nil)
		require.NoError(t, err)
		req.Header["X-Request-Id"] = []string{sent}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, echoed, res.Header.Get("X-Request-Id") == sent, sent)
	}
}
