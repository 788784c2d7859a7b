package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cubby/api"
	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// flagNames puts flags in the place of the API's fields, which remedies name.
var flagNames = strings.NewReplacer("timeout_ms", "--timeout", "max_output_bytes", "--max-output")

// ofOneRun words remedies for cubby run, which has no server.
var ofOneRun = strings.NewReplacer(
	"have the server started with a larger --memory", "a larger --memory",
	", as far as the server allows it", "",
)

// console shows an execution to a person: output where it belongs, results as text, tracebacks on stderr, and at the end
// what happened where that was not the code's own doing. Executions of cubby run and of a server look alike.
type console struct {
	out, err io.Writer
	raised   *wire.ExecutionError // the exception, held back until the end says whose it was
	ending   kernel.Ending        // empty until the end
}

// show prints one event of an execution without a server.
func (c *console) show(ev orchestrator.Event) error {
	switch ev.Type {
	case kernel.TypeStdout:
		return c.print(c.out, ev.Text)
	case kernel.TypeStderr:
		return c.print(c.err, ev.Text)
	case kernel.TypeResult:
		return c.result(api.ResultOf(ev))
	case kernel.TypeError:
		c.raised = &wire.ExecutionError{Name: ev.Name, Value: ev.Value, Traceback: ev.Traceback}
	case kernel.TypeGap:
		return c.gap(ev.Bytes, ev.AtMost)
	case kernel.TypeDone:
		if ev.State == kernel.StateLost {
			ev.State = kernel.StatePreserved // nothing comes after it that could miss its variables
		}
		if c.leftWell(ev) {
			c.raised, ev.Ending, ev.Value = nil, kernel.EndingOK, ""
		}
		o := api.OutcomeOf(ev)
		o.Value = ofOneRun.Replace(o.Value)
		return c.end(o)
	}
	return nil
}

// leftWell reports whether code that is run once has ended itself, with the status of success.
func (c *console) leftWell(done orchestrator.Event) bool {
	switch done.Ending {
	case kernel.EndingError: // of Python
		return c.raised != nil && c.raised.Name == "SystemExit" && slices.Contains([]string{"", "0", "None"}, c.raised.Value)
	case kernel.EndingCrashed:
		return done.Value == "exit status 0"
	default:
		return false
	}
}

// showLine prints one line of a server's answer to an execute.
func (c *console) showLine(line wire.Line) error {
	switch line := line.(type) {
	case wire.Output:
		return c.output(line.Type, line.Text)
	case wire.Result:
		return c.result(line)
	case wire.ExecutionError:
		c.raised = &line
	case wire.Gap:
		return c.gap(line.Bytes, line.AtMost)
	case wire.EndOfExecution:
		return c.end(line.Outcome)
	}
	return nil
}

// showEvent prints one of a server's events of an execution.
func (c *console) showEvent(ev wire.Event) error {
	switch ev := ev.(type) {
	case wire.EventOutput:
		return c.output(ev.Type, ev.Text)
	case wire.EventResult:
		return c.result(api.ResultOf(kernel.Event{Data: ev.Data}))
	case wire.EventError:
		c.raised = &wire.ExecutionError{Name: ev.Name, Value: ev.Value, Traceback: ev.Traceback}
	case wire.EventGap:
		return c.gap(ev.Bytes, ev.AtMost)
	case wire.EventDone:
		return c.end(ev.Outcome)
	}
	return nil
}

func (c *console) output(stream wire.LineType, text string) error {
	if stream == wire.TypeStderr {
		return c.print(c.err, text)
	}
	return c.print(c.out, text)
}

func (c *console) gap(bytes int64, atMost bool) error {
	if atMost {
		return c.note("up to %d bytes of output are missing here", bytes)
	}
	return c.note("%d bytes of output are missing here", bytes)
}

// failure prints an exception: its traceback, and name and value where that does not tell them. R's is "Error in f() : x".
func (c *console) failure(name, value, traceback string) error {
	text := strings.TrimRight(traceback, "\n")
	told := value != "" && strings.Contains(text, ": "+value)
	if summary := summaryOf(name, value); !told && !strings.Contains(text, summary) {
		text = strings.TrimPrefix(text+"\n"+summary, "\n")
	}
	return c.print(c.err, text+"\n")
}

// summaryOf returns one line of an exception. What has no name and a small number is the status of a command: bash has
// no other exceptions.
func summaryOf(name, value string) string {
	if _, err := strconv.ParseUint(value, 10, 8); name == "" && err == nil {
		return "exit status " + value
	}
	return strings.TrimSuffix(strings.TrimPrefix(name+": "+value, ": "), ": ")
}

// end prints the exception of the code, or where the code was and what ended it.
func (c *console) end(o wire.Outcome) error {
	c.ending = kernel.Ending(o.Ending)
	own := c.ending == kernel.EndingOK || c.ending == kernel.EndingError
	var told error
	switch {
	case c.raised != nil && own:
		told = c.failure(c.raised.Name, c.raised.Value, c.raised.Traceback)
	case c.raised != nil && c.raised.Traceback != "":
		told = c.print(c.err, strings.TrimRight(c.raised.Traceback, "\n")+"\n")
	}
	if !own && told == nil {
		told = c.note("%s", flagNames.Replace(cmp.Or(o.Value, o.Ending)))
	}
	if o.Usage != nil && o.Usage.OOMKills > 0 && c.ending != kernel.EndingOOM && told == nil {
		told = c.note("the memory limit killed processes that the code had started: %d", o.Usage.OOMKills)
	}
	return told
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

// result prints a result: its text, or else which MIME types it has.
func (c *console) result(r wire.Result) error {
	var text string
	if r.Text != nil {
		text = *r.Text
	}
	if types := typesOf(r); text == "" && len(types) > 0 {
		text = "<" + strings.Join(types, ", ") + ">"
	}
	return c.print(c.out, text+"\n")
}

// typesOf returns the MIME types of a result beside its text, sorted.
func typesOf(r wire.Result) []string {
	var types []string
	for mime, there := range map[string]bool{
		"text/html": r.HTML != nil, "text/markdown": r.Markdown != nil, "image/svg+xml": r.SVG != nil, "image/png": r.PNG != nil,
		"image/jpeg": r.JPEG != nil, "application/pdf": r.PDF != nil, "text/latex": r.LaTeX != nil,
		"application/json": r.JSON != nil, "application/javascript": r.JavaScript != nil,
		"e2b/data": r.Data != nil, "e2b/chart": r.Chart != nil,
	} {
		if there {
			types = append(types, mime)
		}
	}
	types = slices.AppendSeq(types, maps.Keys(r.Extra))
	slices.Sort(types)
	return types
}
