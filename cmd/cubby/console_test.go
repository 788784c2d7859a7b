package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/api/wire"
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
		"a text is as the API tells it, and an empty one beside another representation is none": {
			events: []orchestrator.Event{
				result("text/plain", `"'a'"`),
				{Type: kernel.TypeResult, Data: map[string]json.RawMessage{"text/plain": []byte(`""`), "text/html": []byte(`"<b>"`)}},
				result("text/plain", `"''"`), done(kernel.EndingOK),
			},
			out: "a\n<text/html>\n\n",
		},
		"an exception shows its traceback once": {
			events: []orchestrator.Event{
				{Type: kernel.TypeError, Name: "ValueError", Value: "x", Traceback: "Traceback\nValueError: x"}, done(kernel.EndingError),
			},
			err: "Traceback\nValueError: x\n", code: exitFailed,
		},
		"an exception whose traceback words it in its own way": {
			events: []orchestrator.Event{
				{Type: kernel.TypeError, Name: "Error", Value: "x", Traceback: "Error in f() : x\nTraceback:\n1. f()"},
				done(kernel.EndingError),
			},
			err: "Error in f() : x\nTraceback:\n1. f()\n", code: exitFailed,
		},
		"a program that ends itself well": {
			events: []orchestrator.Event{
				{Type: kernel.TypeStdout, Text: "a\n"},
				{Type: kernel.TypeError, Name: "SystemExit", Value: "0", Traceback: "Traceback\nSystemExit: 0"},
				done(kernel.EndingError),
			},
			out: "a\n",
		},
		"a program that ends itself with a status": {
			events: []orchestrator.Event{
				{Type: kernel.TypeError, Name: "SystemExit", Value: "3", Traceback: "Traceback\nSystemExit: 3"}, done(kernel.EndingError),
			},
			err: "Traceback\nSystemExit: 3\n", code: exitFailed,
		},
		"an interpreter that ends well": {
			events: []orchestrator.Event{{Type: kernel.TypeDone, Ending: kernel.EndingCrashed, State: kernel.StateLost, Value: "exit status 0"}},
		},
		"an interpreter that ends with a status": {
			events: []orchestrator.Event{{Type: kernel.TypeDone, Ending: kernel.EndingCrashed, State: kernel.StateLost, Value: "exit status 3"}},
			err:    "cubby: the kernel died: exit status 3\n", code: exitFailed,
		},
		"an exception without a traceback": {
			events: []orchestrator.Event{{Type: kernel.TypeError, Name: "Error", Value: "x"}, done(kernel.EndingError)},
			err:    "Error: x\n", code: exitFailed,
		},
		"a child that the memory limit killed is said, and is no failure": {
			events: []orchestrator.Event{{
				Type: kernel.TypeDone, Ending: kernel.EndingOK, State: kernel.StatePreserved, Usage: &kernel.Usage{OOMKills: 2},
			}},
			err: "cubby: the memory limit killed processes that the code had started: 2\n",
		},
		"a bound of what is missing is said": {
			events: []orchestrator.Event{{Type: kernel.TypeGap, Bytes: 5, AtMost: true}, done(kernel.EndingOK)},
			err:    "cubby: up to 5 bytes of output are missing here\n",
		},
		"missing output is said": {
			events: []orchestrator.Event{{Type: kernel.TypeGap, Bytes: 5}, done(kernel.EndingOK)},
			err:    "cubby: 5 bytes of output are missing here\n",
		},
		"a deadline is the code's fault": {
			events: []orchestrator.Event{
				{Type: kernel.TypeError, Name: "KeyboardInterrupt", Traceback: "line 1"}, done(kernel.EndingTimeout),
			},
			err: "line 1\ncubby: execution ran into its timeout; a larger --timeout gives it more time\n", code: exitFailed,
		},
		"a bound of output names its flag": {
			events: []orchestrator.Event{done(kernel.EndingOutputLimit)}, code: exitFailed,
			err: "cubby: the execution wrote more than it may; print less, write to a file, or ask for a larger --max-output\n",
		},
		"memory is this command's to give": {
			events: []orchestrator.Event{done(kernel.EndingOOM)}, code: exitFailed,
			err: "cubby: out of memory: the kernel was killed; use less at a time, or a larger --memory\n",
		},
		"variables that nothing comes after to use are not missed": {
			events: []orchestrator.Event{{Type: kernel.TypeDone, Ending: kernel.EndingCrashed, State: kernel.StateLost, Value: "signal: 11"}},
			err:    "cubby: the kernel died: signal: 11\n", code: exitFailed,
		},
		"the status of bash's last command": {
			events: []orchestrator.Event{{Type: kernel.TypeError, Value: "1"}, done(kernel.EndingError)},
			err:    "exit status 1\n", code: exitFailed,
		},
		"an exception without a name": {
			events: []orchestrator.Event{{Type: kernel.TypeError, Value: "no such thing"}, done(kernel.EndingError)},
			err:    "no such thing\n", code: exitFailed,
		},
		"a lost context is not the code's fault": {
			events: []orchestrator.Event{done(kernel.EndingLost)}, code: exitFault,
			err: "cubby: the context's container is gone; run the code again, from the beginning\n",
		},
		"an ending of the future is named": {
			events: []orchestrator.Event{done("melted")}, err: "cubby: the execution ended: melted\n", code: exitFailed,
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
	t.Run("it looks alike without a server, in its answer to an execute and in its events", func(t *testing.T) {
		frame := orchestrator.Event{Type: kernel.TypeDone, Ending: kernel.EndingInterrupted, State: kernel.StatePreserved}
		var texts []string
		for _, play := range []func(c *console) error{
			func(c *console) error {
				return errors.Join(c.show(orchestrator.Event{Type: kernel.TypeStdout, Text: "a\n"}),
					c.show(result("text/plain", `"1"`)), c.show(orchestrator.Event{Type: kernel.TypeStderr, Text: "b\n"}),
					c.show(orchestrator.Event{Type: kernel.TypeGap, Bytes: 5}),
					c.show(orchestrator.Event{Type: kernel.TypeError, Name: "KeyboardInterrupt", Traceback: "line 1\n"}), c.show(frame))
			},
			func(c *console) error {
				one := "1"
				return errors.Join(c.showLine(wire.Output{Type: wire.TypeStdout, Text: "a\n"}),
					c.showLine(wire.Result{Type: wire.TypeResult, Text: &one}), c.showLine(wire.Output{Type: wire.TypeStderr, Text: "b\n"}),
					c.showLine(wire.Gap{Bytes: 5}), c.showLine(wire.Keepalive{}),
					c.showLine(wire.ExecutionError{Name: "KeyboardInterrupt", Traceback: "line 1\n"}),
					c.showLine(wire.EndOfExecution{Outcome: api.OutcomeOf(frame)}))
			},
			func(c *console) error {
				at := func(kind wire.LineType) wire.Position { return wire.Position{Type: kind, Seq: 1} }
				return errors.Join(c.showEvent(wire.EventOutput{Position: at(wire.TypeStdout), Text: "a\n"}),
					c.showEvent(wire.EventResult{Data: map[string]json.RawMessage{"text/plain": json.RawMessage(`"1"`)}}),
					c.showEvent(wire.EventOutput{Position: at(wire.TypeStderr), Text: "b\n"}),
					c.showEvent(wire.EventGap{Bytes: 5}), c.showEvent(wire.Keepalive{}),
					c.showEvent(wire.EventError{Name: "KeyboardInterrupt", Traceback: "line 1\n"}),
					c.showEvent(wire.EventDone{Outcome: api.OutcomeOf(frame)}))
			},
		} {
			var text bytes.Buffer
			c := console{out: &text, err: &text}
			require.NoError(t, play(&c))
			require.ErrorIs(t, c.outcome(), errFailed)
			texts = append(texts, text.String())
		}
		require.Equal(t, "a\n1\nb\ncubby: 5 bytes of output are missing here\nline 1\ncubby: execution was interrupted\n", texts[0])
		require.Equal(t, texts[0], texts[1])
		require.Equal(t, texts[0], texts[2])
	})
	t.Run("a server's words name the flags of this program, and lost variables", func(t *testing.T) {
		outcome := api.OutcomeOf(orchestrator.Event{Ending: kernel.EndingTimeout, State: kernel.StateLost})
		var texts [2]bytes.Buffer
		require.NoError(t, (&console{err: &texts[0]}).showLine(wire.EndOfExecution{Outcome: outcome}))
		require.NoError(t, (&console{err: &texts[1]}).showEvent(wire.EventDone{Outcome: outcome}))
		require.Equal(t, "cubby: execution ran into its timeout; the context's variables are lost, and the next execution has a fresh kernel; "+
			"a larger --timeout gives it more time\n", texts[0].String())
		require.Equal(t, texts[0].String(), texts[1].String())
	})
	t.Run("a reader that has gone is reported", func(t *testing.T) {
		c := console{out: failingWriter{}, err: failingWriter{}}
		require.Error(t, c.show(orchestrator.Event{Type: kernel.TypeStdout, Text: "a"}))
	})
}
