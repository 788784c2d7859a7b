package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"cubby/api/wire"
	"cubby/orchestrator/kernel"
)

// Limits of the values of results, which user code chooses: Python's parser takes a depth of 1000 and integers of 4300
// digits, and others less. What exceeds them is left out of its result.
const (
	maxDepth  = 200
	maxDigits = 4000
	maxExtra  = 64 // types that have no key of their own
)

// translation turns the events of one execution into E2B's lines.
type translation struct {
	generation int
	started    bool
	held       *kernel.Event // the error, held back until the done says whether it was the code's own
}

// silent reports whether silence is that of running code, which keepalive lines fill.
func (t *translation) silent() bool { return t.started }

// replaced returns the last line of a client whose execution another reader follows now.
func (t *translation) replaced() any {
	return wire.ExecutionError{
		Type: wire.TypeError, Name: wire.ReaderReplaced,
		Value: "another reader has taken over the output of this execution, which goes on",
	}
}

// rest returns nothing: the last event is always a done.
func (t *translation) rest() []any { return nil }

// lines returns the lines of an event, none or more.
func (t *translation) lines(ev kernel.Event) []any {
	switch ev.Type {
	case kernel.TypeStarted:
		t.started = true
		return []any{wire.NumberOfExecutions{Type: wire.TypeNumberOfExecutions, ExecutionCount: ev.Count}}
	case kernel.TypeStdout:
		return []any{output(wire.TypeStdout, ev)}
	case kernel.TypeStderr:
		return []any{output(wire.TypeStderr, ev)}
	case kernel.TypeResult:
		return []any{ResultOf(ev)}
	case kernel.TypeGap:
		return []any{wire.Gap{Type: wire.TypeGap, Bytes: ev.Bytes, AtMost: ev.AtMost}}
	case kernel.TypeError:
		t.held = &ev
	case kernel.TypeDone:
		return t.end(ev)
	}
	return nil
}

// end returns the lines of a done: at most one error, and the end. An exception by which an interrupted or timed-out
// kernel shows that the interrupt took gives way to the reason of the interrupt, unless it is that itself.
func (t *translation) end(done kernel.Event) []any {
	line := wire.ExecutionError{Type: wire.TypeError}
	if t.held != nil {
		line.Name, line.Value, line.Traceback = t.held.Name, t.held.Value, t.held.Traceback
	}
	name, value := words(done)
	took := done.Ending == kernel.EndingInterrupted && done.State == kernel.StatePreserved && line.Name == name
	if name != "" && !took {
		line.Name, line.Value = name, value
	}
	end := wire.EndOfExecution{Type: wire.TypeEndOfExecution, Outcome: OutcomeOf(done), Generation: t.generation}
	if line.Name == "" && t.held == nil {
		return []any{end}
	}
	return []any{line, end}
}

func output(kind wire.LineType, ev kernel.Event) wire.Output {
	return wire.Output{Type: kind, Text: ev.Text, Timestamp: timestamp(ev)}
}

func timestamp(ev kernel.Event) string {
	return ev.Time.UTC().Format("2006-01-02T15:04:05.000000-07:00")
}

// ResultOf sorts a value's representations by MIME type into E2B's keys. Types that have none go to extra.
func ResultOf(ev kernel.Event) wire.Result {
	r := wire.Result{Type: wire.TypeResult, Extra: map[string]json.RawMessage{}, IsMainResult: ev.Main}
	texts := map[string]**string{
		"text/plain": &r.Text, "text/html": &r.HTML, "text/markdown": &r.Markdown, "image/svg+xml": &r.SVG,
		"image/png": &r.PNG, "image/jpeg": &r.JPEG, "application/pdf": &r.PDF, "text/latex": &r.LaTeX,
		"application/javascript": &r.JavaScript,
	}
	values := map[string]*json.RawMessage{"application/json": &r.JSON, "e2b/data": &r.Data, "e2b/chart": &r.Chart}
	for _, mime := range slices.Sorted(maps.Keys(ev.Data)) {
		value := ev.Data[mime]
		isNull := bytes.Equal(value, []byte("null"))
		if key, ok := texts[mime]; ok {
			if !isNull {
				text := textOf(value)
				*key = &text
			}
		} else if !isReadable(value) {
			continue
		} else if key, ok := values[mime]; ok {
			if !isNull {
				*key = value
			}
		} else if len(r.Extra) < maxExtra {
			r.Extra[mime] = value
		}
	}
	if r.Text != nil {
		text := unquote(*r.Text)
		r.Text = &text
	}
	return r
}

// isReadable reports whether every client's parser takes a JSON value.
func isReadable(value json.RawMessage) bool {
	depth, digits := 0, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c >= '0' && c <= '9':
			digits++
			if digits > maxDigits {
				return false
			}
			continue
		case c == '"':
			for i++; i < len(value) && value[i] != '"'; i++ {
				if value[i] == '\\' {
					i++
				}
			}
		case c == '[', c == '{':
			depth++
			if depth > maxDepth {
				return false
			}
		case c == ']', c == '}':
			depth--
		}
		digits = 0
	}
	return true
}

// textOf returns a string, a list of strings as Jupyter has them, or whatever else it is as JSON.
func textOf(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	var parts []string
	if json.Unmarshal(value, &parts) == nil {
		return strings.Join(parts, "")
	}
	return string(value)
}

// unquote removes a pair of outer quotes, as E2B does: from 'a' + 'b' as well, and a lone quote is its own pair.
func unquote(text string) string {
	for _, quote := range []string{"'", `"`} {
		if strings.HasPrefix(text, quote) && strings.HasSuffix(text, quote) {
			return text[1:max(1, len(text)-1)]
		}
	}
	return text
}
