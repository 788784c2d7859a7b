package api_test

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// contexts is a fake: each field answers one method, and a method whose field is nil must not be called.
type contexts struct {
	t         *testing.T
	create    func(context.Context, orchestrator.CreateRequest) (orchestrator.CodeContext, error)
	list      func(context.Context) ([]orchestrator.CodeContext, error)
	get       func(context.Context, string) (orchestrator.CodeContext, error)
	restart   func(context.Context, string) (orchestrator.CodeContext, error)
	remove    func(context.Context, string) error
	interrupt func(context.Context, string) error
	execute   func(context.Context, orchestrator.ExecuteRequest) (*orchestrator.Execution, error)
	execution func(ctx context.Context, contextID, executionID string) (orchestrator.ExecutionStatus, error)
	follow    func(ctx context.Context, contextID, executionID string, after uint64) (*orchestrator.Execution, error)
	end       func(ctx context.Context, contextID, executionID string) error // interrupts one execution
}

var (
	_ api.Contexts = (*contexts)(nil)
	_ api.Contexts = (*orchestrator.Manager)(nil)
)

func (c *contexts) Create(ctx context.Context, req orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
	require.NotNil(c.t, c.create, "Create must not be called")
	return c.create(ctx, req)
}

func (c *contexts) List(ctx context.Context) ([]orchestrator.CodeContext, error) {
	require.NotNil(c.t, c.list, "List must not be called")
	return c.list(ctx)
}

func (c *contexts) Get(ctx context.Context, id string) (orchestrator.CodeContext, error) {
	require.NotNil(c.t, c.get, "Get must not be called")
	return c.get(ctx, id)
}

func (c *contexts) Restart(ctx context.Context, id string) (orchestrator.CodeContext, error) {
	require.NotNil(c.t, c.restart, "Restart must not be called")
	return c.restart(ctx, id)
}

func (c *contexts) Remove(ctx context.Context, id string) error {
	require.NotNil(c.t, c.remove, "Remove must not be called")
	return c.remove(ctx, id)
}

func (c *contexts) Interrupt(ctx context.Context, id string) error {
	require.NotNil(c.t, c.interrupt, "Interrupt must not be called")
	return c.interrupt(ctx, id)
}

func (c *contexts) Execute(ctx context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
	require.NotNil(c.t, c.execute, "Execute must not be called")
	return c.execute(ctx, req)
}

func (c *contexts) Execution(ctx context.Context, contextID, executionID string) (orchestrator.ExecutionStatus, error) {
	require.NotNil(c.t, c.execution, "Execution must not be called")
	return c.execution(ctx, contextID, executionID)
}

func (c *contexts) Follow(ctx context.Context, contextID, executionID string, after uint64) (*orchestrator.Execution, error) {
	require.NotNil(c.t, c.follow, "Follow must not be called")
	return c.follow(ctx, contextID, executionID, after)
}

func (c *contexts) InterruptExecution(ctx context.Context, contextID, executionID string) error {
	require.NotNil(c.t, c.end, "InterruptExecution must not be called")
	return c.end(ctx, contextID, executionID)
}

// always answers every method with the same context, or the same error.
func always(t *testing.T, err error) *contexts {
	t.Helper()
	return &contexts{
		t: t,
		create: func(context.Context, orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
			return example(), err
		},
		list: func(context.Context) ([]orchestrator.CodeContext, error) {
			return []orchestrator.CodeContext{example()}, err
		},
		get:       func(context.Context, string) (orchestrator.CodeContext, error) { return example(), err },
		restart:   func(context.Context, string) (orchestrator.CodeContext, error) { return example(), err },
		remove:    func(context.Context, string) error { return err },
		interrupt: func(context.Context, string) error { return err },
		execute: func(context.Context, orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
			return finished(), err
		},
		execution: func(context.Context, string, string) (orchestrator.ExecutionStatus, error) { return ended(), err },
		follow: func(context.Context, string, string, uint64) (*orchestrator.Execution, error) {
			return finished(), err
		},
		end: func(context.Context, string, string) error { return err },
	}
}

func example() orchestrator.CodeContext {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return orchestrator.CodeContext{
		ID: "abc", Language: "python", Cwd: "/tmp", Sandbox: "default", CreatedAt: created, LastUsedAt: created.Add(time.Minute),
		Generation: 2, State: orchestrator.StateLost, Reason: "its container was removed",
		Image: orchestrator.Image{ID: "sha256:1", Tag: "cubby-python:1"}, Container: "c0ffee",
		Limits: orchestrator.DefaultLimits(), Network: orchestrator.NetworkNone,
	}
}

// executionOf returns an execution that has already got these events.
func executionOf(interrupt func(), events ...kernel.Event) *orchestrator.Execution {
	e := orchestrator.NewExecution("01J", "abc", 2, nil, interrupt)
	for _, ev := range events {
		e.Deliver(ev)
	}
	return e
}

// ended is the status of an execution that its context's memory has ended.
func ended() orchestrator.ExecutionStatus {
	return orchestrator.ExecutionStatus{
		ID: "01J", Context: "abc", Generation: 2, State: kernel.ExecutionDone, Seq: 9, Done: &kernel.Event{
			Seq: 9, Type: kernel.TypeDone, Ending: kernel.EndingOOM, State: kernel.StateLost,
			Usage: &kernel.Usage{CPUMillis: 1, WallMillis: 2, PeakBytes: 3, OOMKills: 4},
		},
	}
}

func finished() *orchestrator.Execution {
	return executionOf(nil,
		kernel.Event{Type: kernel.TypeStarted, Count: 1},
		kernel.Event{Type: kernel.TypeDone, Ending: kernel.EndingOK, State: kernel.StatePreserved})
}

// serve starts a server for the configuration and returns its URL.
func serve(t *testing.T, cfg api.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	served := api.New(cfg)
	server.Config = served.HTTPServer()
	server.Start()
	t.Cleanup(served.Close)
	t.Cleanup(server.Close)
	return server.URL
}

// answer is what a server has answered.
type answer struct {
	StatusCode int
	Header     http.Header
}

// ask sends a request; header is "Name: value" lines.
func ask(t *testing.T, method, url, body string, header ...string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case name == "Host":
			req.Host = value
		case value == "":
			req.Header.Del(name)
		default:
			req.Header.Add(name, value)
		}
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header}, string(text)
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func keysOf(keys ...string) (digests [][sha256.Size]byte) {
	for _, key := range keys {
		digests = append(digests, sha256.Sum256([]byte(key)))
	}
	return digests
}
