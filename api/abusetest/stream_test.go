//go:build integration

package abusetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// stream is the answer to an execute, which is read as far as the test asks for.
type stream struct {
	executionID string
	began       time.Time
	body        *bufio.Reader
	leave       context.CancelFunc
	got         outcome // so far
}

// outcome is what an execution told, put together.
type outcome struct {
	stdout, stderr string
	text           string // of the main result
	errName        string
	errValue       string
	traceback      string
	count          int // of the kernel's executions; 0 until it said that the code has started
	ending, state  string
	generation     int
	usage          wire.Usage
	gaps           int   // how often output is missing
	missing        int64 // how many bytes of it
	ends           int   // how many last lines came: one, or the stream was cut or goes on
	errors         int   // how many error lines came
	took           time.Duration
}

// run executes code in a context and returns its outcome. more, at most one, has further fields of the request.
func (s *server) run(t *testing.T, id, code string, more ...wire.Execute) outcome {
	t.Helper()
	return s.begin(t, id, code, more...).wait(t)
}

// begin executes code in a context; nothing but the headers has been read yet. The client leaves at the end of the test.
func (s *server) begin(t *testing.T, id, code string, more ...wire.Execute) *stream {
	t.Helper()
	st, err := s.execute(t.Context(), request(id, code, more...))
	require.NoError(t, err)
	t.Cleanup(st.leave)
	return st
}

// request puts a request together.
func request(id, code string, more ...wire.Execute) wire.Execute {
	var req wire.Execute
	if len(more) > 0 {
		req = more[0]
	}
	req.ContextID, req.Code = id, code
	return req
}

// execute sends a request. Unlike the package's client it tells the execution's id, and reads what follows the end, too.
func (s *server) execute(ctx context.Context, req wire.Execute) (*stream, error) {
	body, err := wire.Marshal(req)
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(ctx)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, s.client.URL+wire.RouteExecute.Path, bytes.NewReader(body))
	if err != nil {
		leave()
		return nil, err
	}
	post.Header.Set("Content-Type", "application/json")
	st := &stream{began: time.Now(), leave: leave}
	answer, err := http.DefaultClient.Do(post) //nolint:bodyclose // leave ends it
	if err != nil {
		leave()
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer leave()
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return nil, fmt.Errorf("execute in %q: status %d: %s", req.ContextID, answer.StatusCode, said)
	}
	st.executionID, st.body = answer.Header.Get(wire.HeaderExecutionID), bufio.NewReader(answer.Body)
	return st, nil
}

// read takes the next line. The error is io.EOF at the end of a stream that nothing cut.
func (st *stream) read() (wire.Line, error) {
	text, err := st.body.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(text) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	line, err := wire.ParseLine(text)
	if err != nil {
		return nil, err
	}
	st.got.add(line)
	st.got.took = time.Since(st.began)
	return line, nil
}

// add puts a line into the outcome.
func (o *outcome) add(line wire.Line) {
	switch line := line.(type) {
	case wire.NumberOfExecutions:
		o.count = line.ExecutionCount
	case wire.Output:
		if line.Type == wire.TypeStdout {
			o.stdout += line.Text
		} else {
			o.stderr += line.Text
		}
	case wire.Result:
		if line.IsMainResult && line.Text != nil {
			o.text = *line.Text
		}
	case wire.ExecutionError:
		o.errors++
		o.errName, o.errValue, o.traceback = line.Name, line.Value, line.Traceback
	case wire.Gap:
		o.gaps++
		o.missing += line.Bytes
	case wire.EndOfExecution:
		o.ends++
		o.ending, o.state, o.generation = line.Ending, line.State, line.Generation
		if line.Usage != nil {
			o.usage = *line.Usage
		}
	}
}

// all reads a stream to its end.
func (st *stream) all() (outcome, error) {
	for {
		switch _, err := st.read(); {
		case errors.Is(err, io.EOF):
			return st.got, nil
		case err != nil:
			return st.got, fmt.Errorf("the stream of %s after %v: %w", st.executionID, st.got.took, err)
		}
	}
}

// wait reads the stream to its end, which has to come within patience and to be told exactly once (I3).
func (st *stream) wait(t *testing.T) outcome {
	t.Helper()
	defer time.AfterFunc(patience, st.leave).Stop()
	got, err := st.all()
	require.NoError(t, err)
	require.Equal(t, 1, got.ends, "ends that were told: %+v", got)
	require.LessOrEqual(t, got.errors, 1, "errors that were told: %+v", got)
	return got
}

// until reads the stream until a line satisfies the test, and fails when none does.
func (st *stream) until(t *testing.T, found func(outcome) bool) {
	t.Helper()
	defer time.AfterFunc(patience, st.leave).Stop()
	for !found(st.got) {
		_, err := st.read()
		require.NoError(t, err, "so far: %+v", st.got)
	}
}

// started reads the stream until the code runs.
func (st *stream) started(t *testing.T) {
	t.Helper()
	st.until(t, func(o outcome) bool { return o.count > 0 })
}
