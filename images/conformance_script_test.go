package images

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kitCase is a case of the conformance kit. testdata/conformance/kit.txtar says what cases, steps and words are.
type kitCase struct {
	name    string
	promise string
	steps   []kitStep
}

// kitStep is one step of a case.
type kitStep struct {
	line    int
	verb    string // context, refused or run
	snippet string // run: which code
	vars    []variable
	says    kitWord // refused: what the error says

	timeout     time.Duration // run
	interrupted bool          // run
	expected    expectation   // run
}

// variable is an environment variable, or the cwd, of a step.
type variable struct {
	name, value string
}

// kitWord is a text that a case says, or the name of a value of the language.
type kitWord struct {
	text    string
	isValue bool
}

// kitLine is a line of a case that says something.
type kitLine struct {
	number   int
	indented bool
	words    []kitWord
}

// parseKit reads the cases of the kit. An error names the line and the case.
func parseKit(file string, content string) ([]kitCase, error) {
	archive, err := parseArchive(file, content)
	if err != nil {
		return nil, err
	}
	var cases []kitCase
	for _, f := range archive {
		c, err := parseCase(f)
		if err != nil {
			return nil, fmt.Errorf("%s:%w", file, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// parseCase reads one case. An error begins with the line's number.
func parseCase(f archiveFile) (kitCase, error) {
	promise, rest, _ := strings.Cut(f.content, "\n")
	c := kitCase{name: f.name, promise: promise}
	if promise == "" || strings.HasPrefix(promise, "#") {
		return c, fmt.Errorf("%d: case %s: the first line has to say what the case promises", f.line+1, c.name)
	}
	number := f.line + 1
	for text := range strings.Lines(rest) {
		number++
		words, err := splitWords(text)
		if err == nil && len(words) > 0 {
			err = c.add(kitLine{number, strings.HasPrefix(text, " "), words})
		}
		if err != nil {
			return c, fmt.Errorf("%d: case %s: %w", number, c.name, err)
		}
	}
	if len(c.steps) == 0 {
		return c, fmt.Errorf("%d: case %s has no steps", f.line+1, c.name)
	}
	return c, nil
}

// add adds a step, or an expectation to the last one.
func (c *kitCase) add(l kitLine) error {
	if l.indented {
		if len(c.steps) == 0 || c.steps[len(c.steps)-1].verb != "run" {
			return fmt.Errorf("%q stands under no run", l.words[0].text)
		}
		return c.steps[len(c.steps)-1].expected.add(l.words)
	}
	step := kitStep{line: l.number, verb: l.words[0].text, expected: nothingSpecial()}
	rest := l.words[1:]
	switch step.verb {
	case "context":
	case "refused":
		n := len(rest)
		if n < 2 || rest[n-2].text != "says" {
			return fmt.Errorf("a refused context needs the end: says WORDS")
		}
		step.says, rest = rest[n-1], rest[:n-2]
	case "run":
		if len(rest) == 0 {
			return fmt.Errorf("run needs the name of a snippet")
		}
		step.snippet, rest = rest[0].text, rest[1:]
	default:
		return fmt.Errorf("%q is no step: there are context, refused and run", step.verb)
	}
	for _, w := range rest {
		if err := step.option(w); err != nil {
			return err
		}
	}
	c.steps = append(c.steps, step)
	return nil
}

// option takes what follows a step's verb.
func (s *kitStep) option(w kitWord) error {
	name, value, isVariable := strings.Cut(w.text, "=")
	limit, isTimeout := strings.CutPrefix(w.text, "timeout:")
	switch {
	case w.isValue:
		return fmt.Errorf("$%s stands where an option should", w.text)
	case s.verb == "run" && isTimeout:
		d, err := time.ParseDuration(limit)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is no duration", limit)
		}
		s.timeout = d
	case s.verb == "run" && w.text == "interrupted":
		s.interrupted = true
	case isVariable && name != "":
		s.vars = append(s.vars, variable{name, value})
	default:
		return fmt.Errorf("%q is no option of %s", w.text, s.verb)
	}
	return nil
}

// splitWords takes a line apart. A word, or a part of one, may be a Go string; a # at a word's beginning ends the line.
func splitWords(line string) ([]kitWord, error) {
	var words []kitWord
	for {
		line = strings.TrimLeft(line, " \n")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		var w kitWord
		if line[0] == '$' {
			w.isValue, line = true, line[1:]
		}
		for line != "" && line[0] != ' ' && line[0] != '\n' {
			if line[0] != '"' {
				w.text, line = w.text+line[:1], line[1:]
				continue
			}
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("a string begins that is none in Go: %s", strings.TrimSpace(line))
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("unquote %s: %w", quoted, err)
			}
			w.text, line = w.text+text, line[len(quoted):]
		}
		words = append(words, w)
	}
}
