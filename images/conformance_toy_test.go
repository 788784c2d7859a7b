package images

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// toy is a language whose code says, a line an event, what its executions tell. It has no contexts in /nowhere.
type toy struct {
	listed     map[string]int // generations
	made       int
	executions []orchestrator.ExecuteRequest
}

func (f *toy) Create(_ context.Context, req orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
	if req.Cwd == "/nowhere" {
		return orchestrator.CodeContext{}, fmt.Errorf("%w: no such directory", orchestrator.ErrInvalid)
	}
	f.made++
	id := fmt.Sprintf("%d", f.made)
	f.listed[id] = 1
	return orchestrator.CodeContext{ID: id, Generation: 1}, nil
}

func (f *toy) List(context.Context) ([]orchestrator.CodeContext, error) {
	return make([]orchestrator.CodeContext, len(f.listed)), nil
}

func (f *toy) Remove(_ context.Context, id string) error {
	if _, ok := f.listed[id]; !ok {
		return orchestrator.ErrNotFound
	}
	delete(f.listed, id)
	return nil
}

func (f *toy) Execute(_ context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error) {
	f.executions = append(f.executions, req)
	r := &toyRun{done: orchestrator.Event{
		Type: kernel.TypeDone, Ending: kernel.EndingOK, State: kernel.StatePreserved, Usage: &kernel.Usage{},
	}}
	r.Execution = orchestrator.NewExecution("id", req.Context, f.listed[req.Context], nil, r.interrupt)
	for line := range strings.Lines(req.Code) {
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if verb == "wait" {
			return r.Execution, nil
		}
		if verb == "die" {
			f.listed[req.Context]++
		}
		r.say(verb, rest)
	}
	r.deliver(r.done)
	return r.Execution, nil
}

// toyRun is an execution of the toy.
type toyRun struct {
	*orchestrator.Execution
	seq  uint64
	done orchestrator.Event
}

func (r *toyRun) deliver(ev orchestrator.Event) {
	r.seq++
	ev.Seq = r.seq
	r.Deliver(ev)
}

func (r *toyRun) interrupt() {
	r.deliver(orchestrator.Event{Type: kernel.TypeError, Name: "Interrupt", Value: "now"})
	r.done.Ending = kernel.EndingInterrupted
	r.deliver(r.done)
}

// say does what a line of code says.
func (r *toyRun) say(verb, rest string) {
	text := map[string]json.RawMessage{"text/plain": json.RawMessage(strconv.Quote(rest))}
	switch verb {
	case "out":
		r.deliver(orchestrator.Event{Type: kernel.TypeStdout, Text: rest})
	case "err":
		r.deliver(orchestrator.Event{Type: kernel.TypeStderr, Text: rest})
	case "result":
		r.deliver(orchestrator.Event{Type: kernel.TypeResult, Data: text, Main: true})
	case "html":
		text["text/html"] = text["text/plain"]
		r.deliver(orchestrator.Event{Type: kernel.TypeResult, Data: text})
	case "error":
		name, value, _ := strings.Cut(rest, " ")
		r.deliver(orchestrator.Event{Type: kernel.TypeError, Name: name, Value: value, Traceback: "at " + value})
		r.done.Ending = kernel.EndingError
	case "nameless":
		r.deliver(orchestrator.Event{Type: kernel.TypeError, Value: rest})
		r.done.Ending = kernel.EndingError
	case "die":
		r.done.Ending, r.done.State, r.done.Value = kernel.EndingCrashed, kernel.StateLost, rest
	case "gap":
		r.deliver(orchestrator.Event{Type: kernel.TypeGap, Bytes: 7})
	case "meterless":
		r.done.Usage = nil
	case "backwards":
		r.Deliver(orchestrator.Event{Type: kernel.TypeStdout})
	}
}

// rehearse plays a case in the toy language, whose file has the snippets, and returns the verdict.
func rehearse(t *testing.T, lines, language string) (verdict, *toy) {
	t.Helper()
	cases, err := parseKit("kit", "-- case --\nPromise.\n"+lines)
	require.NoError(t, err)
	fits, err := parseKitLanguage("toy.txtar", language, cases)
	require.NoError(t, err)
	f := &toy{listed: map[string]int{}}
	p := &player{contexts: f, language: "toy", patience: time.Minute, kitLanguage: fits}
	return p.play(t.Context(), cases[0]), f
}
