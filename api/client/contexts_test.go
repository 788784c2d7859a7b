package client_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"cubby/api"
	"cubby/api/client"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// contexts is a fake that knows one context, "abc", and answers every call with err if that is set.
type contexts struct {
	err       error
	calls     []string
	execution *orchestrator.Execution
}

func (c *contexts) answer(call, id string) (orchestrator.CodeContext, error) {
	c.calls = append(c.calls, call+" "+id)
	if c.err == nil && id != "abc" {
		return orchestrator.CodeContext{}, fmt.Errorf("context %s %w", id, orchestrator.ErrNotFound)
	}
	return orchestrator.CodeContext{
		ID: "abc", Language: "python", Cwd: "/tmp", Generation: 4, State: orchestrator.StateBusy,
		CreatedAt: time.Unix(1, 0).UTC(), LastUsedAt: time.Unix(2, 0).UTC(), Limits: orchestrator.DefaultLimits(),
		Image: orchestrator.Image{ID: "sha256:1", Tag: "t"}, Sandbox: "default", Network: orchestrator.NetworkNone,
	}, c.err
}

func (c *contexts) Create(_ context.Context, req orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
	c.calls = append(c.calls, fmt.Sprintf("%+v", req))
	return c.answer("create", "abc")
}

func (c *contexts) List(context.Context) ([]orchestrator.CodeContext, error) {
	cc, err := c.answer("list", "abc")
	return []orchestrator.CodeContext{cc}, err
}

func (c *contexts) Get(_ context.Context, id string) (orchestrator.CodeContext, error) {
	return c.answer("get", id)
}

func (c *contexts) Restart(_ context.Context, id string) (orchestrator.CodeContext, error) {
	return c.answer("restart", id)
}

func (c *contexts) Remove(_ context.Context, id string) error {
	_, err := c.answer("remove", id)
	return err
}

func (c *contexts) Interrupt(_ context.Context, id string) error {
	_, err := c.answer("interrupt", id)
	return err
}

func (c *contexts) Execute(_ context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
	c.calls = append(c.calls, fmt.Sprintf("execute %+v", req))
	return c.execution, c.err
}

func (c *contexts) Execution(_ context.Context, id, execution string) (orchestrator.ExecutionStatus, error) {
	_, err := c.answer("execution "+execution, id)
	return orchestrator.ExecutionStatus{
		ID: execution, Context: id, Generation: 4, State: kernel.ExecutionDone, Seq: 9,
		Done: &kernel.Event{Type: kernel.TypeDone, Ending: kernel.EndingRemoved, State: kernel.StateLost},
	}, err
}

func (c *contexts) Follow(_ context.Context, id, execution string, after uint64) (*orchestrator.Execution, error) {
	_, err := c.answer(fmt.Sprintf("follow %s after %d", execution, after), id)
	return c.execution, err
}

func (c *contexts) InterruptExecution(_ context.Context, id, execution string) error {
	_, err := c.answer("interrupt "+execution, id)
	return err
}

// serve starts the API on the fake and returns a client for it.
func serve(t *testing.T, fake *contexts, keys ...string) *client.Client {
	t.Helper()
	cfg := api.Config{Contexts: fake, Logger: slog.New(slog.DiscardHandler)}
	for _, key := range keys {
		cfg.Keys = append(cfg.Keys, sha256.Sum256([]byte(key)))
	}
	server := httptest.NewUnstartedServer(nil)
	served := api.New(cfg)
	server.Config = served.HTTPServer()
	server.Start()
	t.Cleanup(served.Close)
	t.Cleanup(server.Close)
	c := &client.Client{URL: server.URL + "/"}
	if len(keys) > 0 {
		c.Key = keys[0]
	}
	return c
}

// answering returns a client of a server that gives one answer to everything.
func answering(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &client.Client{URL: server.URL}
}
