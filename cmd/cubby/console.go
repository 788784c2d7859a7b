package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// console shows an execution to a person: output where it belongs, results as text, tracebacks on stderr.
type console struct {
	out, err io.Writer
	ending   kernel.Ending // empty until the done
}

// show prints one event.
func (c *console) show(ev orchestrator.Event) error {
	switch ev.Type {
	case kernel.TypeStdout:
		return c.print(c.out, ev.Text)
	case kernel.TypeStderr:
		return c.print(c.err, ev.Text)
	case kernel.TypeResult:
		return c.print(c.out, plain(ev.Data)+"\n")
	case kernel.TypeError:
		return c.failure(ev.Name, ev.Value, ev.Traceback)
	case kernel.TypeGap:
		return c.note("%d bytes of output are missing here", ev.Bytes)
	case kernel.TypeDone:
		c.ending = ev.Ending
		return c.end(ev)
	}
	return nil
}

// failure prints an exception: its traceback, and name and value where the traceback does not end with them.
func (c *console) failure(name, value, traceback string) error {
	text := strings.TrimRight(traceback, "\n")
	if summary := strings.TrimSuffix(name+": "+value, ": "); !strings.Contains(text, summary) {
		text = strings.TrimPrefix(text+"\n"+summary, "\n")
	}
	return c.print(c.err, text+"\n")
}

// end says how an execution ended where its events have not.
func (c *console) end(ev orchestrator.Event) error {
	if ev.Ending == kernel.EndingOK || ev.Ending == kernel.EndingError {
		return nil
	}
	words := map[kernel.Ending]string{
		kernel.EndingTimeout:     "the deadline passed",
		kernel.EndingInterrupted: "interrupted",
		kernel.EndingOOM:         "out of memory (--memory)",
		kernel.EndingCrashed:     "the kernel died",
		kernel.EndingOutputLimit: "too much output",
		kernel.EndingDiskFull:    "the disk is full",
		kernel.EndingRestarted:   "the context was restarted",
		kernel.EndingRemoved:     "the context was removed",
		kernel.EndingLost:        "the context was lost",
	}
	text := words[ev.Ending]
	if text == "" {
		text = string(ev.Ending)
	}
	if ev.Value != "" {
		text += ": " + ev.Value
	}
	if ev.State == kernel.StateLost {
		text += "; its variables are lost"
	}
	return c.note("%s", text)
}

// outcome returns what the program ends with.
func (c *console) outcome() error {
	switch c.ending {
	case kernel.EndingOK:
		return nil
	case "":
		return errors.New("the stream ended before the execution did; how it ended is not known")
	case kernel.EndingRestarted, kernel.EndingRemoved, kernel.EndingLost:
		return fmt.Errorf("the execution ended without a result: %s", c.ending)
	default:
		return errFailed
	}
}

// note says something of cubby's own among the output.
func (c *console) note(format string, args ...any) error {
	return c.print(c.err, "cubby: "+fmt.Sprintf(format, args...)+"\n")
}

func (c *console) print(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print output: %w", err)
	}
	return nil
}

// plain returns a result's text, or the names of its types where it has none.
func plain(data map[string]json.RawMessage) string {
	var text string
	if err := json.Unmarshal(data["text/plain"], &text); err == nil {
		return text
	}
	return "<" + strings.Join(slices.Sorted(maps.Keys(data)), ", ") + ">"
}
