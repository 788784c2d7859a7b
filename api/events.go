package api

import (
	"encoding/json"
	"maps"
	"slices"

	"cubby/api/wire"
	"cubby/orchestrator/kernel"
)

// frames turns the events of one execution into those that clients get, one for one.
type frames struct {
	generation int
	before     *kernel.Event // the done, where it has come before the first of these events
}

// silent: a reader is told that its server is there, whether the code runs or waits.
func (*frames) silent() bool { return true }

func (*frames) replaced() any { return wire.Replaced{Type: wire.TypeReplaced} }

// rest repeats a done that the reader has seen, after the late output that it has asked for: every whole stream ends with
// one.
func (f *frames) rest() []any {
	if f.before == nil {
		return nil
	}
	return f.lines(*f.before)
}

func (f *frames) lines(ev kernel.Event) []any {
	at := wire.Position{Seq: ev.Seq}
	switch ev.Type {
	case kernel.TypeStarted:
		at.Type = wire.TypeStarted
		return []any{wire.EventStarted{Position: at, Count: ev.Count}}
	case kernel.TypeStdout:
		at.Type = wire.TypeStdout
		return []any{wire.EventOutput{Position: at, Text: ev.Text, Timestamp: timestamp(ev)}}
	case kernel.TypeStderr:
		at.Type = wire.TypeStderr
		return []any{wire.EventOutput{Position: at, Text: ev.Text, Timestamp: timestamp(ev)}}
	case kernel.TypeResult:
		at.Type = wire.TypeResult
		return []any{wire.EventResult{Position: at, Data: readable(ev.Data), Main: ev.Main}}
	case kernel.TypeError:
		at.Type = wire.TypeError
		return []any{wire.EventError{Position: at, Name: ev.Name, Value: ev.Value, Traceback: ev.Traceback}}
	case kernel.TypeGap:
		at.Type = wire.TypeGap
		return []any{wire.EventGap{Position: at, Bytes: ev.Bytes, AtMost: ev.AtMost}}
	case kernel.TypeDone:
		at.Type = wire.TypeDone
		return []any{wire.EventDone{Position: at, Outcome: OutcomeOf(ev), Generation: f.generation}}
	}
	return nil
}

// readable returns a result's representations without those that some client's parser does not take.
func readable(data map[string]json.RawMessage) map[string]json.RawMessage {
	kept := make(map[string]json.RawMessage, len(data))
	for _, mime := range slices.Sorted(maps.Keys(data)) {
		if len(kept) < maxExtra && isReadable(data[mime]) {
			kept[mime] = data[mime]
		}
	}
	return kept
}
