package api

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
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

// lineWriter writes lines through a buffer.
type lineWriter struct {
	buffer  *bufio.Writer
	control *http.ResponseController
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	return &lineWriter{bufio.NewWriterSize(w, writeStep), http.NewResponseController(w)}
}

func (w *lineWriter) write(line wire.Line) error {
	text, err := wire.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := w.buffer.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

// flush sends what is buffered.
func (w *lineWriter) flush() error {
	err := w.buffer.Flush()
	if err == nil {
		err = w.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

// translation turns the events of one execution into E2B's lines.
type translation struct {
	generation int
	started    bool
	held       *kernel.Event // the error, held back until the done says whether it was the code's own
}

// lines returns the lines of an event, none or more.
func (t *translation) lines(ev kernel.Event) []wire.Line {
	switch ev.Type {
	case kernel.TypeStarted:
		t.started = true
		return []wire.Line{wire.NumberOfExecutions{Type: wire.TypeNumberOfExecutions, ExecutionCount: ev.Count}}
	case kernel.TypeStdout:
		return []wire.Line{output(wire.TypeStdout, ev)}
	case kernel.TypeStderr:
		return []wire.Line{output(wire.TypeStderr, ev)}
	case kernel.TypeResult:
		return []wire.Line{result(ev)}
	case kernel.TypeGap:
		return []wire.Line{wire.Gap{Type: wire.TypeGap, Bytes: ev.Bytes}}
	case kernel.TypeError:
		t.held = &ev
	case kernel.TypeDone:
		return t.end(ev)
	}
	return nil
}

// end returns the lines of a done: at most one error, and the end. An exception by which an interrupted or timed-out
// kernel shows that the interrupt took gives way to the reason of the interrupt.
func (t *translation) end(done kernel.Event) []wire.Line {
	var lines []wire.Line
	switch line, own := t.errorOf(done); {
	case own && t.held != nil:
		lines = append(lines, wire.ExecutionError{
			Type: wire.TypeError, Name: t.held.Name, Value: t.held.Value, Traceback: t.held.Traceback,
		})
	case !own:
		lines = append(lines, line)
	}
	return append(lines, wire.EndOfExecution{
		Type: wire.TypeEndOfExecution, Ending: string(done.Ending), State: string(done.State), Generation: t.generation,
	})
}

// endings are the names and the words of the endings that no exception of the code is.
var endings = map[kernel.Ending]struct{ name, value string }{
	kernel.EndingTimeout:     {"TimeoutError", "execution ran into its timeout"},
	kernel.EndingInterrupted: {"KeyboardInterrupt", "execution was interrupted"},
	kernel.EndingOOM:         {"OutOfMemoryError", "the kernel was killed: the context ran out of memory"},
	kernel.EndingCrashed:     {"KernelDied", "the kernel died"},
	kernel.EndingOutputLimit: {"OutputLimit", "the execution wrote more than it may"},
	kernel.EndingDiskFull:    {"DiskFull", "the workspace is full"},
	kernel.EndingRestarted:   {"ContextRestarted", "Context was restarted"},
	kernel.EndingRemoved:     {"ContextRemoved", "Context was removed"},
	kernel.EndingLost:        {"ContextLost", "the context's container is gone, and its variables with it"},
}

// errorOf returns the error line of an ending, or own if the code's own exception, where there is one, tells all.
func (t *translation) errorOf(done kernel.Event) (line wire.ExecutionError, own bool) {
	if done.Ending == kernel.EndingOK || done.Ending == kernel.EndingError {
		return line, true
	}
	words, known := endings[done.Ending]
	if !known {
		words.name, words.value = "UnexpectedEndOfExecution", "the execution ended: "+string(done.Ending)
	}
	if t.held != nil && done.Ending == kernel.EndingInterrupted && t.held.Name == words.name {
		return line, true
	}
	line = wire.ExecutionError{Type: wire.TypeError, Name: words.name, Value: words.value}
	switch done.Ending {
	case kernel.EndingRestarted, kernel.EndingRemoved: // the words say all
	case kernel.EndingLost:
		line.Value = cmp.Or(done.Value, words.value)
	default:
		if done.Value != "" {
			line.Value += ": " + done.Value
		}
		if done.State == kernel.StateLost {
			line.Value += "; the context's variables are lost"
		}
	}
	if t.held != nil {
		line.Traceback = t.held.Traceback // where the code was
	}
	return line, false
}

func output(kind wire.LineType, ev kernel.Event) wire.Output {
	return wire.Output{Type: kind, Text: ev.Text, Timestamp: ev.Time.UTC().Format("2006-01-02T15:04:05.000000-07:00")}
}

// result sorts a value's representations by MIME type into E2B's keys. Types that have none go to extra.
func result(ev kernel.Event) wire.Result {
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
