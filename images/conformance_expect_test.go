package images

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// expectation is what a step says that an execution tells.
type expectation struct {
	stdout, stderr expectedText
	result         *kitWord
	display        []kitWord // MIME type and value
	failure        []kitWord // name of an error, and words of its value
	anyError       bool
	ending         kitWord
	state          kitWord
	says           kitWord
	isNext         bool // it runs in the next generation
}

// expectedText is what is expected on a stream.
type expectedText struct {
	text     kitWord
	isAny    bool
	numbered int // so many numbered lines instead of the text
}

// nothingSpecial is what is expected where a case says nothing.
func nothingSpecial() expectation {
	return expectation{ending: kitWord{text: string(kernel.EndingOK)}, state: kitWord{text: string(kernel.StatePreserved)}}
}

// add takes one line under a run.
func (e *expectation) add(line []kitWord) error {
	field, args := line[0].text, line[1:]
	one, two := len(args) == 1, len(args) == 2
	switch isAny := one && args[0] == (kitWord{text: "any"}); {
	case field == "stdout" && two && args[0].text == "numbered":
		lines, err := strconv.Atoi(args[1].text)
		if err != nil || lines <= 0 {
			return fmt.Errorf("%q is no number of lines", args[1].text)
		}
		e.stdout = expectedText{numbered: lines}
	case field == "stdout" && one:
		e.stdout = expectedText{text: args[0], isAny: isAny}
	case field == "stderr" && one:
		e.stderr = expectedText{text: args[0], isAny: isAny}
	case field == "result" && one:
		e.result = &args[0]
	case field == "display" && two:
		e.display = args
	case field == "error" && isAny:
		e.anyError = true
	case field == "error" && two:
		e.failure = args
	case field == "ending" && one:
		e.ending = args[0]
	case field == "state" && one:
		e.state = args[0]
	case field == "says" && one:
		e.says = args[0]
	case field == "generation" && one && args[0].text == "next":
		e.isNext = true
	default:
		return fmt.Errorf("%q, with %d words behind it, is nothing that an execution tells", field, len(args))
	}
	return nil
}

// values returns the names of the language's values that it refers to.
func (e *expectation) values() (names []string) {
	words := append([]kitWord{e.stdout.text, e.stderr.text, e.ending, e.state, e.says}, append(e.display, e.failure...)...)
	if e.result != nil {
		words = append(words, *e.result)
	}
	for _, w := range words {
		if w.isValue {
			names = append(names, w.text)
		}
	}
	return names
}

// told is what an execution has told.
type told struct {
	stdout, stderr strings.Builder
	results        []orchestrator.Event
	errors         []orchestrator.Event
	done           orchestrator.Event
	generation     int
	irregular      []string // what no execution may tell
	lastSeq        uint64
}

// add takes an event.
func (g *told) add(ev orchestrator.Event) {
	if ev.Seq <= g.lastSeq {
		g.irregular = append(g.irregular, fmt.Sprintf("event %d came after %d", ev.Seq, g.lastSeq))
	}
	g.lastSeq = ev.Seq
	switch ev.Type {
	case kernel.TypeStdout:
		g.stdout.WriteString(ev.Text)
	case kernel.TypeStderr:
		g.stderr.WriteString(ev.Text)
	case kernel.TypeResult:
		g.results = append(g.results, ev)
	case kernel.TypeError:
		g.errors = append(g.errors, ev)
	case kernel.TypeGap:
		g.irregular = append(g.irregular, fmt.Sprintf("%d bytes of output are missing", ev.Bytes))
	case kernel.TypeDone:
		g.done = ev
		if ev.Usage == nil {
			g.irregular = append(g.irregular, "the done has no usage")
		}
	}
}

// check holds what was told against what is expected, in a context that was in the given generation before (0: nobody
// knows). It returns what differs.
func (e *expectation) check(got *told, value func(kitWord) string, before int) (problems []string) {
	problems = append(problems, got.irregular...)
	differs := func(what string, is, should any) {
		problems = append(problems, fmt.Sprintf("%s is %.300q instead of %.300q", what, is, should))
	}
	for _, stream := range []struct {
		name string
		is   string
		want expectedText
	}{{"stdout", got.stdout.String(), e.stdout}, {"stderr", got.stderr.String(), e.stderr}} {
		switch want := value(stream.want.text); {
		case stream.want.isAny:
		case stream.want.numbered > 0:
			problems = append(problems, misnumbered(stream.name, stream.is, stream.want.numbered)...)
		case stream.is != want:
			differs(stream.name, stream.is, want)
		}
	}
	problems = append(problems, e.checkResults(got, value)...)
	problems = append(problems, e.checkErrors(got, value)...)
	if want := value(e.ending); string(got.done.Ending) != want {
		differs("the ending", string(got.done.Ending)+" "+got.done.Value, want)
	}
	if want := value(e.state); string(got.done.State) != want {
		differs("the state", string(got.done.State), want)
	}
	if want := value(e.says); !strings.Contains(got.done.Value, want) {
		differs("the done's value", got.done.Value, "something with "+want)
	}
	want := before
	if e.isNext {
		want++
	}
	if before > 0 && got.generation != want {
		problems = append(problems, fmt.Sprintf("the generation is %d instead of %d", got.generation, want))
	}
	return problems
}

// checkResults: none, or the main one alone, or a display among whatever there is.
func (e *expectation) checkResults(got *told, value func(kitWord) string) []string {
	const text = "text/plain"
	var seen []string
	for _, r := range got.results {
		seen = append(seen, fmt.Sprintf("%.300s (main: %v)", r.Data, r.Main))
	}
	have := fmt.Sprintf("%d results: %s", len(seen), strings.Join(seen, ", "))
	switch {
	case e.display != nil:
		for _, r := range got.results {
			if r.Data[text] != nil && r.Data[e.mime(value)] != nil && textOf(r.Data[e.mime(value)]) == value(e.display[1]) {
				return nil
			}
		}
		return []string{fmt.Sprintf("no result is %q as %s, and something as %s; there are %s", value(e.display[1]), e.mime(value), text, have)}
	case e.result == nil && len(got.results) > 0:
		return []string{"there should be no result; there are " + have}
	case e.result == nil:
		return nil
	case len(got.results) != 1 || !got.results[0].Main || textOf(got.results[0].Data[text]) != value(*e.result):
		return []string{fmt.Sprintf("there should be one main result, %q; there are %s", value(*e.result), have)}
	}
	return nil
}

func (e *expectation) mime(value func(kitWord) string) string { return value(e.display[0]) }

// textOf returns a value of a result: what a JSON string says, or the JSON.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// checkErrors: none, or exactly one.
func (e *expectation) checkErrors(got *told, value func(kitWord) string) []string {
	expected := e.anyError || e.failure != nil
	switch {
	case !expected && len(got.errors) > 0:
		return []string{fmt.Sprintf("there should be no error, but %s: %.300s", got.errors[0].Name, got.errors[0].Value)}
	case !expected:
		return nil
	case len(got.errors) != 1:
		return []string{fmt.Sprintf("there should be one error, not %d", len(got.errors))}
	}
	is := got.errors[0]
	switch {
	case e.failure == nil:
		return nil
	case is.Name != value(e.failure[0]) || !strings.Contains(is.Value, value(e.failure[1])):
		return []string{fmt.Sprintf("the error is %.100q: %.300q, instead of %q with %q",
			is.Name, is.Value, value(e.failure[0]), value(e.failure[1]))}
	case is.Name != "" && is.Traceback == "":
		return []string{"the error has no traceback"}
	}
	return nil
}

// misnumbered says where text is not so many numbered lines.
func misnumbered(stream, text string, lines int) []string {
	n := 0
	for line := range strings.Lines(text) {
		if want := fmt.Sprintf("%09d\n", n); line != want {
			return []string{fmt.Sprintf("line %d of %s is %.100q instead of %q", n+1, stream, line, want)}
		}
		n++
	}
	if n != lines {
		return []string{fmt.Sprintf("%s has %d lines instead of %d", stream, n, lines)}
	}
	return nil
}
