package imagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// Context is a context to run code in.
type Context struct {
	t       *testing.T
	manager *orchestrator.Manager
	id      string
}

// In returns the context for a subtest, which is then the one that fails.
func (c *Context) In(t *testing.T) *Context {
	t.Helper()
	return &Context{t: t, manager: c.manager, id: c.id}
}

// Do runs code.
func (c *Context) Do(code string) *Run {
	c.t.Helper()
	return c.DoWith(code, nil)
}

// DoWithin runs code with a deadline.
func (c *Context) DoWithin(code string, timeout time.Duration) *Run {
	c.t.Helper()
	return collect(c.t, c.begin(orchestrator.ExecuteRequest{Code: code, Timeout: timeout}), nil)
}

// DoWith runs code with variables of its own.
func (c *Context) DoWith(code string, env map[string]string) *Run {
	c.t.Helper()
	return collect(c.t, c.begin(orchestrator.ExecuteRequest{Code: code, Env: env}), nil)
}

// InterruptAfter runs code, and interrupts it some time after the first event of the type.
func (c *Context) InterruptAfter(code string, after kernel.EventType, delay time.Duration) *Run {
	c.t.Helper()
	e := c.begin(orchestrator.ExecuteRequest{Code: code})
	seen := false
	return collect(c.t, e, func(ev orchestrator.Event) {
		if ev.Type == after && !seen {
			seen = true
			time.Sleep(delay) // until it is in what is meant
			e.Interrupt()
		}
	})
}

func (c *Context) begin(req orchestrator.ExecuteRequest) *orchestrator.Execution {
	c.t.Helper()
	req.Context = c.id
	e, err := c.manager.Execute(c.t.Context(), req)
	require.NoError(c.t, err)
	return e
}

// collect puts together what an execution tells until its done.
func collect(t *testing.T, e *orchestrator.Execution, each func(orchestrator.Event)) *Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := &Run{}
	var out, err strings.Builder
	for {
		ev, failed := e.Next(ctx)
		if errors.Is(failed, io.EOF) {
			require.Equal(t, kernel.TypeDone, r.Done.Type, "what an execution tells has an end")
			r.Out, r.Err = out.String(), err.String()
			return r
		}
		require.NoError(t, failed)
		switch ev.Type {
		case kernel.TypeStdout:
			out.WriteString(ev.Text)
		case kernel.TypeStderr:
			err.WriteString(ev.Text)
		case kernel.TypeResult:
			r.Results = append(r.Results, Result{Main: ev.Main, Data: decode(t, ev.Data)})
		case kernel.TypeError:
			r.Errors = append(r.Errors, ev)
		case kernel.TypeDone:
			r.Done = ev
		}
		if each != nil {
			each(ev)
		}
	}
}

func decode(t *testing.T, data map[string]json.RawMessage) map[string]any {
	t.Helper()
	decoded := map[string]any{}
	for mime, raw := range data {
		var value any
		numbers := json.NewDecoder(bytes.NewReader(raw))
		numbers.UseNumber()
		require.NoError(t, numbers.Decode(&value))
		decoded[mime] = value
	}
	return decoded
}
