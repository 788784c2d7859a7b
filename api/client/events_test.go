package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

const (
	stdoutLine    = `{"type":"stdout","seq":%d,"text":"%[1]d","timestamp":""}` + "\n"
	doneLine      = `{"type":"done","seq":%d,"ending":"ok","state":"preserved","generation":1}` + "\n"
	keepaliveLine = `{"type":"keepalive"}` + "\n"
)

// follow returns the numbers of an execution's events, and the error after them.
func follow(t *testing.T, c *client.Client, after uint64) (seqs []uint64, err error) {
	t.Helper()
	for ev, failure := range c.Events(t.Context(), "abc", "01J", after) {
		require.NoError(t, err, "an error is the last")
		if err = failure; err == nil {
			seqs = append(seqs, ev.Sequence())
		}
	}
	return seqs, err
}

// answers returns a server whose streams of events are those of the script, one after the other.
func answers(t *testing.T, script ...func(w http.ResponseWriter, after string)) *client.Client {
	t.Helper()
	var asked atomic.Int32
	t.Cleanup(func() { require.EqualValues(t, len(script), asked.Load(), "connections") })
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		if n > len(script) {
			t.Errorf("asked once more: %s", r.URL)
			w.WriteHeader(http.StatusNotFound)
			return
		}
		script[n-1](w, r.URL.Query().Get("after"))
	})
}

// sends answers with lines and, if it is cut, no end.
func sends(t *testing.T, wantAfter string, cut bool, lines ...string) func(http.ResponseWriter, string) {
	t.Helper()
	return func(w http.ResponseWriter, after string) {
		if after != wantAfter {
			t.Errorf("after is %s, not %s", after, wantAfter)
		}
		_, _ = io.WriteString(w, strings.Join(lines, ""))
		_ = http.NewResponseController(w).Flush()
		if cut {
			panic(http.ErrAbortHandler)
		}
	}
}

func says(status int) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) { w.WriteHeader(status) }
}

func line(format string, seq int) string { return fmt.Sprintf(format, seq) }

func TestExecutionsContract(t *testing.T) {
	e := orchestrator.NewExecution("01J", "abc", 4, nil, nil)
	fake := &contexts{execution: e}
	c := serve(t, fake)
	started, err := c.Start(t.Context(), "abc", wire.StartExecution{
		Code: "1", EnvVars: map[string]string{"A": "b"}, TimeoutMS: 10, MaxOutputBytes: 7,
	})
	require.NoError(t, err)
	require.Equal(t, wire.Execution{ID: "01J", ContextID: "abc", Generation: 4, State: wire.ExecutionQueued}, started)
	e.Deliver(kernel.Event{Seq: 1, Type: kernel.TypeDone, Ending: kernel.EndingOK, State: kernel.StatePreserved})
	status, err := c.Execution(t.Context(), "abc", "01J")
	require.NoError(t, err)
	require.Equal(t, wire.Execution{
		ID: "01J", ContextID: "abc", Generation: 4, State: wire.ExecutionDone, Seq: 9,
		Done: &wire.Outcome{Ending: "removed", State: "lost", Value: "Context was removed"},
	}, status)
	require.NoError(t, c.InterruptExecution(t.Context(), "abc", "01J"))
	require.Equal(t, []string{
		"execute {Context:abc Language: Code:1 Env:map[A:b] Timeout:10ms MaxOutput:7}", "execution 01J abc", "interrupt 01J abc",
	}, fake.calls)
	for _, ids := range [][2]string{{"", "01J"}, {"abc", ""}} {
		_, err := c.Execution(t.Context(), ids[0], ids[1])
		require.ErrorContains(t, err, "empty")
	}
}

func TestEvents(t *testing.T) {
	t.Run("come from a server once and in order, to the done", func(t *testing.T) {
		e := orchestrator.NewExecution("01J", "abc", 4, nil, nil)
		for seq := range uint64(100) {
			e.Deliver(kernel.Event{Seq: seq + 1, Type: kernel.TypeStdout, Text: "a"})
		}
		e.Deliver(kernel.Event{Seq: 101, Type: kernel.TypeDone, Ending: kernel.EndingOK, State: kernel.StatePreserved})
		fake := &contexts{execution: e}
		seqs, err := follow(t, serve(t, fake), 0)
		require.NoError(t, err)
		require.Len(t, seqs, 101)
		require.IsIncreasing(t, seqs)
		require.Contains(t, fake.calls, "follow 01J after 0 abc")
	})
	t.Run("go on where a connection broke, and none comes twice", func(t *testing.T) {
		c := answers(t,
			sends(t, "5", true, line(stdoutLine, 6), line(stdoutLine, 7), keepaliveLine, `{"type":"std`),
			sends(t, "7", true),
			says(http.StatusServiceUnavailable),
			says(http.StatusTooManyRequests),
			sends(t, "7", false, line(stdoutLine, 7), line(stdoutLine, 9)),
			sends(t, "9", false, line(stdoutLine, 10), line(doneLine, 12)))
		seqs, err := follow(t, c, 5)
		require.NoError(t, err)
		require.Equal(t, []uint64{6, 7, 9, 10, 12}, seqs)
	})
	t.Run("end for a reader that is replaced", func(t *testing.T) {
		seqs, err := follow(t, answers(t, sends(t, "0", false, line(stdoutLine, 1), `{"type":"replaced"}`+"\n")), 0)
		require.ErrorIs(t, err, client.ErrReplaced)
		require.Equal(t, []uint64{1}, seqs)
	})
	t.Run("end when the execution is gone", func(t *testing.T) {
		_, err := follow(t, answers(t, sends(t, "0", true), says(http.StatusNotFound)), 0)
		require.ErrorIs(t, err, client.ErrNotFound)
		require.ErrorContains(t, err, "01J")
	})
	t.Run("end with a stream that is none", func(t *testing.T) {
		_, err := follow(t, answers(t, sends(t, "0", false, "<html>\n")), 0)
		require.ErrorIs(t, err, client.ErrUnexpected)
	})
	t.Run("nothing is tried again before a server has answered", func(t *testing.T) {
		_, err := follow(t, answers(t, says(http.StatusServiceUnavailable)), 0)
		require.ErrorIs(t, err, client.ErrUnavailable)
		_, err = follow(t, &client.Client{URL: "http://127.0.0.1:1"}, 0)
		require.ErrorIs(t, err, client.ErrUnreachable)
	})
	t.Run("the loop can be left", func(t *testing.T) {
		c := answers(t, sends(t, "0", false, line(stdoutLine, 1), line(stdoutLine, 2)))
		for ev, err := range c.Events(t.Context(), "abc", "01J", 0) {
			require.NoError(t, err)
			require.EqualValues(t, 1, ev.Sequence())
			break
		}
	})
	t.Run("what a later server sends is passed on", func(t *testing.T) {
		c := answers(t, sends(t, "0", false, `{"type":"from_the_future","seq":1}`+"\n", line(doneLine, 2)))
		seqs, err := follow(t, c, 0)
		require.NoError(t, err)
		require.Equal(t, []uint64{1, 2}, seqs)
	})
}

func TestPatienceOfEvents(t *testing.T) {
	t.Run("ends some time after the last sign of the server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c := &client.Client{Patience: 10 * time.Second, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				if tries++; tries > 1 {
					return nil, errors.New("nobody there")
				}
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(line(stdoutLine, 1)))}, nil
			})}
			began := time.Now()
			seqs, err := follow(t, c, 0)
			require.ErrorIs(t, err, client.ErrUnreachable)
			require.Equal(t, []uint64{1}, seqs)
			require.GreaterOrEqual(t, time.Since(began), c.Patience)
			require.Less(t, tries, 12, "the pauses grow")
		})
	})
	t.Run("a stream that falls silent is given up, keepalives are no silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c := &client.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				tries++
				if tries > 1 {
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(line(doneLine, 1)))}, nil
				}
				ours, theirs := io.Pipe()
				go func() {
					for range 20 {
						_, _ = io.WriteString(theirs, keepaliveLine)
						time.Sleep(5 * time.Second)
					}
					<-req.Context().Done()
					_ = theirs.CloseWithError(req.Context().Err())
				}()
				return &http.Response{StatusCode: http.StatusOK, Body: ours}, nil
			})}
			began := time.Now()
			seqs, err := follow(t, c, 0)
			require.NoError(t, err)
			require.Equal(t, []uint64{1}, seqs)
			require.Greater(t, time.Since(began), 100*time.Second)
		})
	})
}
