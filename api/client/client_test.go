package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestContract(t *testing.T) {
	fake := &contexts{}
	c := serve(t, fake, "the key")
	ctx := t.Context()
	short := wire.Context{ID: "abc", ContextID: "abc", Language: "python", Cwd: "/tmp"}

	require.NoError(t, c.Health(ctx))
	created, err := c.Create(ctx, wire.CreateContext{Language: "py", Cwd: "/é", EnvVars: map[string]string{"A": "b"}})
	require.NoError(t, err)
	require.Equal(t, short, created)
	listed, err := c.List(ctx)
	require.NoError(t, err)
	require.Equal(t, []wire.ListedContext{{Context: short, State: "busy"}}, listed)
	got, err := c.Get(ctx, "abc")
	require.NoError(t, err)
	require.Equal(t, wire.ContextDetail{
		Context: short, Generation: 4, State: "busy", Image: wire.Image{ID: "sha256:1", Tag: "t"}, Sandbox: "default",
		CreatedAt: time.Unix(1, 0).UTC(), LastUsedAt: time.Unix(2, 0).UTC(), Network: "none",
		Limits: wire.Limits{MemoryBytes: 1 << 30, CPUs: 1, PIDs: 256, FileBytes: 8 << 30},
	}, got)
	require.NoError(t, c.Restart(ctx, "abc"))
	require.NoError(t, c.Interrupt(ctx, "abc"))
	require.NoError(t, c.Remove(ctx, "abc"))
	require.Equal(t, []string{
		"{Language:py Cwd:/é Env:map[A:b]}", "create abc", "list abc", "get abc", "restart abc", "interrupt abc", "remove abc",
	}, fake.calls)
}

func TestExecute(t *testing.T) {
	e := orchestrator.NewExecution("01J", "abc", 4, nil, nil)
	for _, ev := range []kernel.Event{
		{Type: kernel.TypeStarted, Count: 2},
		{Type: kernel.TypeStdout, Text: strings.Repeat("é", 1<<20), Time: time.Unix(1, 0)},
		{Type: kernel.TypeError, Name: "ValueError", Value: "v", Traceback: "t"},
		{Type: kernel.TypeDone, Ending: kernel.EndingError, State: kernel.StatePreserved},
	} {
		e.Deliver(ev)
	}
	fake := &contexts{execution: e}
	c := serve(t, fake)
	var got []wire.Line
	err := c.Execute(t.Context(), wire.Execute{Code: "1", ContextID: "abc", TimeoutMS: 10, EnvVars: map[string]string{"A": "b"}},
		func(line wire.Line) error { got = append(got, line); return nil })
	require.NoError(t, err, "an exception of the code is none of the call")
	require.Equal(t, []wire.Line{
		wire.NumberOfExecutions{Type: wire.TypeNumberOfExecutions, ExecutionCount: 2},
		wire.Output{Type: wire.TypeStdout, Text: strings.Repeat("é", 1<<20), Timestamp: "1970-01-01T00:00:01.000000+00:00"},
		wire.ExecutionError{Type: wire.TypeError, Name: "ValueError", Value: "v", Traceback: "t"},
		wire.EndOfExecution{
			Type: wire.TypeEndOfExecution, Outcome: wire.Outcome{Ending: "error", State: "preserved"}, Generation: 4,
		},
	}, got)
	require.Equal(t, []string{"execute {Context:abc Language: Code:1 Env:map[A:b] Timeout:10ms MaxOutput:0}"}, fake.calls)
}

func TestExecuteEndsEarly(t *testing.T) {
	enough := errors.New("enough")
	running := func() (*client.Client, <-chan struct{}) {
		interrupted := make(chan struct{})
		var e *orchestrator.Execution
		e = orchestrator.NewExecution("01J", "abc", 1, nil, func() {
			close(interrupted)
			e.Deliver(kernel.Event{Type: kernel.TypeDone, Ending: kernel.EndingInterrupted})
		})
		e.Deliver(kernel.Event{Type: kernel.TypeStarted, Count: 1})
		return serve(t, &contexts{execution: e}), interrupted
	}
	await := func(t *testing.T, interrupted <-chan struct{}) {
		t.Helper()
		select {
		case <-interrupted:
		case <-time.After(20 * time.Second):
			require.Fail(t, "not interrupted")
		}
	}
	t.Run("an error of the callback interrupts the execution", func(t *testing.T) {
		c, interrupted := running()
		err := c.Execute(t.Context(), wire.Execute{}, func(wire.Line) error { return enough })
		require.ErrorIs(t, err, enough)
		await(t, interrupted)
	})
	t.Run("and so does the end of the context", func(t *testing.T) {
		c, interrupted := running()
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Execute(ctx, wire.Execute{}, func(wire.Line) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
		await(t, interrupted)
	})
	for name, body := range map[string]string{
		"a stream without its end":  `{"type":"stdout","text":"a","timestamp":""}` + "\n",
		"a stream without any line": "",
		"a stream that ends within": `{"type":"end_of_execution","ending":"o`,
	} {
		t.Run(name+" is cut", func(t *testing.T) {
			c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
			err := c.Execute(t.Context(), wire.Execute{}, func(wire.Line) error { return nil })
			require.ErrorIs(t, err, client.ErrCut)
		})
	}
	t.Run("another reader takes over", func(t *testing.T) {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"type":"error","name":"ReaderReplaced","value":"","traceback":""}` + "\n"))
		})
		err := c.Execute(t.Context(), wire.Execute{}, func(wire.Line) error { return enough })
		require.ErrorIs(t, err, client.ErrReplaced)
	})
	for name, sent := range map[string]string{"a reset": `{"type":"keepalive"}` + "\n", "a reset in the middle of a line": `{"type":"std`} {
		t.Run(name+" is a cut, too", func(t *testing.T) {
			c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(sent))
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			err := c.Execute(t.Context(), wire.Execute{}, func(wire.Line) error { return nil })
			require.ErrorIs(t, err, client.ErrCut)
		})
	}
	t.Run("what is no line is unexpected", func(t *testing.T) {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\n")) })
		err := c.Execute(t.Context(), wire.Execute{}, func(wire.Line) error { return nil })
		require.ErrorIs(t, err, client.ErrUnexpected)
	})
}

func TestKindsSurviveTheWire(t *testing.T) {
	for _, tc := range []struct {
		server error
		kind   error
		words  string
	}{
		{orchestrator.ErrNotFound, client.ErrNotFound, "Context abc not found"},
		{orchestrator.ErrInvalid, client.ErrInvalid, "do this"},
		{orchestrator.ErrUnknownLanguage, client.ErrInvalid, "do this"},
		{orchestrator.ErrTooLarge, client.ErrTooLarge, "do this"},
		{orchestrator.ErrConflict, client.ErrConflict, "do this"},
		{orchestrator.ErrCapacity, client.ErrCapacity, "do this"},
		{orchestrator.ErrImageMissing, client.ErrUnavailable, "do this"},
		{orchestrator.ErrEngine, client.ErrUnavailable, "cubby doctor"},
		{errors.New("secret"), client.ErrServer, "internal error"},
	} {
		t.Run(tc.server.Error(), func(t *testing.T) {
			c := serve(t, &contexts{err: fmt.Errorf("%w: do this", tc.server)})
			_, get := c.Get(t.Context(), "abc") // an error in JSON
			execute := c.Execute(t.Context(), wire.Execute{ContextID: "abc"}, nil)
			for _, err := range []error{get, c.Restart(t.Context(), "abc"), execute} { // and in plain text
				require.ErrorIs(t, err, tc.kind)
				require.ErrorContains(t, err, tc.words)
				require.NotContains(t, err.Error(), "secret")
			}
		})
	}
	t.Run("a 422 tells what is wrong", func(t *testing.T) {
		err := serve(t, &contexts{}).Execute(t.Context(), wire.Execute{OnDisconnect: "x"}, nil)
		require.ErrorIs(t, err, client.ErrInvalid)
		require.EqualError(t, err, "[body on_disconnect]: Input should be 'interrupt' or 'continue'")
	})
	t.Run("a wrong key", func(t *testing.T) {
		c := serve(t, &contexts{}, "right")
		c.Key = "wrong"
		_, err := c.List(t.Context())
		require.ErrorIs(t, err, client.ErrUnauthorized)
		require.ErrorContains(t, err, "CUBBY_API_KEY")
	})
	t.Run("an id that can be none", func(t *testing.T) {
		fake := &contexts{}
		c := serve(t, fake)
		for _, id := range []string{"../contexts", "a/b", "%2e", "a b"} {
			require.ErrorIs(t, c.Remove(t.Context(), id), client.ErrNotFound, id)
		}
		require.Error(t, c.Remove(t.Context(), ""))
		require.Empty(t, fake.calls)
	})
	t.Run("an answer of somebody else", func(t *testing.T) {
		teapot := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		_, err := teapot.List(t.Context())
		require.ErrorIs(t, err, client.ErrUnexpected)
		page := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
		_, err = page.List(t.Context())
		require.ErrorContains(t, err, "is no cubby server")
	})
}

func TestTheKeyGoesNowhereElse(t *testing.T) {
	for _, url := range []string{"http://box.example", "http://10.0.0.1:49999", "http://localhost.evil.example", "http://[fd00::1]"} {
		t.Run(url, func(t *testing.T) {
			c := client.Client{URL: url, Key: "secret", Transport: refusing{t}}
			_, err := c.List(t.Context())
			require.ErrorContains(t, err, "clear text")
			require.NotContains(t, err.Error(), "secret")
		})
	}
	t.Run("not where a redirect points", func(t *testing.T) {
		elsewhere := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("followed") })
		c := answering(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		})
		c.Key = "secret"
		_, err := c.List(t.Context())
		require.ErrorIs(t, err, client.ErrUnexpected)
	})
	t.Run("no URL at all", func(t *testing.T) {
		for _, url := range []string{"localhost:1", "ftp://localhost", "http://", "://"} {
			_, err := (&client.Client{URL: url}).List(t.Context())
			require.ErrorContains(t, err, "is no URL of a server", url)
		}
	})
}

// refusing is a transport over which nothing may go.
type refusing struct{ t *testing.T }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("sent to %s", req.URL)
	return nil, errors.New("refused")
}

func TestNoServer(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // a port at which nothing listens
	c := client.Client{URL: "http://" + listener.Addr().String()}
	err = c.Health(t.Context())
	require.ErrorIs(t, err, client.ErrUnreachable)
	require.ErrorContains(t, err, "start it with `cubby serve`")
}

func TestTheZeroValueGoesToTheDefaultURL(t *testing.T) {
	var asked string
	c := client.Client{}
	c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		asked = req.URL.String()
		return nil, errors.New("no")
	})
	require.ErrorIs(t, c.Health(t.Context()), client.ErrUnreachable)
	require.Equal(t, "http://127.0.0.1:49999/health", asked)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
