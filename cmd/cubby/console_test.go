package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestConsole(t *testing.T) {
	result := func(mime, value string) orchestrator.Event {
		return orchestrator.Event{Type: kernel.TypeResult, Data: map[string]json.RawMessage{mime: json.RawMessage(value)}}
	}
	done := func(ending kernel.Ending) orchestrator.Event {
		return orchestrator.Event{Type: kernel.TypeDone, Ending: ending, State: kernel.StatePreserved}
	}
	for name, tt := range map[string]struct {
		events   []orchestrator.Event
		out, err string
		code     int
	}{
		"output goes where it belongs": {
			events: []orchestrator.Event{
				{Type: kernel.TypeStarted, Count: 1},
				{Type: kernel.TypeStdout, Text: "a\n"},
				{Type: kernel.TypeStderr, Text: "b"},
				done(kernel.EndingOK),
			},
			out: "a\n", err: "b",
		},
		"results are text": {
			events: []orchestrator.Event{result("text/plain", `"1"`), result("image/png", `"AA=="`), done(kernel.EndingOK)},
			out:    "1\n<image/png>\n",
		},
		"an exception shows its traceback once": {
			events: []orchestrator.Event{
				{Type: kernel.TypeError, Name: "ValueError", Value: "x", Traceback: "Traceback\nValueError: x"}, done(kernel.EndingError),
			},
			err: "Traceback\nValueError: x\n", code: exitFailed,
		},
		"an exception without a traceback": {
			events: []orchestrator.Event{{Type: kernel.TypeError, Name: "Error", Value: "x"}, done(kernel.EndingError)},
			err:    "Error: x\n", code: exitFailed,
		},
		"missing output is said": {
			events: []orchestrator.Event{{Type: kernel.TypeGap, Bytes: 5}, done(kernel.EndingOK)},
			err:    "cubby: 5 bytes of output are missing here\n",
		},
		"a deadline is the code's fault": {
			events: []orchestrator.Event{done(kernel.EndingTimeout)}, err: "cubby: the deadline passed\n", code: exitFailed,
		},
		"lost state is said": {
			events: []orchestrator.Event{{Type: kernel.TypeDone, Ending: kernel.EndingCrashed, State: kernel.StateLost, Value: "signal: 11"}},
			err:    "cubby: the kernel died: signal: 11; its variables are lost\n", code: exitFailed,
		},
		"a lost context is not the code's fault": {
			events: []orchestrator.Event{done(kernel.EndingLost)}, err: "cubby: the context was lost\n", code: exitFault,
		},
		"an ending of the future is named": {
			events: []orchestrator.Event{done("melted")}, err: "cubby: melted\n", code: exitFailed,
		},
		"a cut stream is no success": {
			events: []orchestrator.Event{{Type: kernel.TypeStdout, Text: "a"}}, out: "a", code: exitFault,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			c := console{out: &out, err: &errs}
			for _, ev := range tt.events {
				require.NoError(t, c.show(ev))
			}
			require.Equal(t, tt.out, out.String())
			require.Equal(t, tt.err, errs.String())
			require.Equal(t, tt.code, exitCode(c.outcome()))
		})
	}
	t.Run("a reader that has gone is reported", func(t *testing.T) {
		c := console{out: failingWriter{}, err: failingWriter{}}
		require.Error(t, c.show(orchestrator.Event{Type: kernel.TypeStdout, Text: "a"}))
	})
}
