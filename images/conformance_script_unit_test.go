package images

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKitParsesCases(t *testing.T) {
	cases, err := parseKit("kit.txtar", `A comment
-- one --
What it promises.

# a comment
context cwd=/home/user/x A="two words"  # words
refused cwd=/x says "no such"
run code B="" timeout:1500ms interrupted   # what it does
  stdout "a\n # b"
  stderr any
  error $e.name with
  ending timeout
-- two --
More.
run it
  stdout numbered 3
  result $two.it
  generation next
`)
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.Equal(t, "What it promises.", cases[0].promise)

	stage, refused, run := cases[0].steps[0], cases[0].steps[1], cases[0].steps[2]
	require.Equal(t, kitStep{
		line: 6, verb: "context", vars: []variable{{"cwd", "/home/user/x"}, {"A", "two words"}}, expected: nothingSpecial(),
	}, stage)
	require.Equal(t, kitWord{text: "no such"}, refused.says)
	require.Equal(t, []variable{{"cwd", "/x"}}, refused.vars)
	require.Equal(t, "code", run.snippet)
	require.Equal(t, []variable{{"B", ""}}, run.vars)
	require.Equal(t, 1500*time.Millisecond, run.timeout)
	require.True(t, run.interrupted)

	want := nothingSpecial()
	want.stdout.text.text, want.stderr, want.ending.text = "a\n # b", expectedText{text: kitWord{text: "any"}, isAny: true}, "timeout"
	want.failure = []kitWord{{text: "e.name", isValue: true}, {text: "with"}}
	require.Equal(t, want, run.expected)
	want = nothingSpecial()
	want.stdout, want.result, want.isNext = expectedText{numbered: 3}, &kitWord{text: "two.it", isValue: true}, true
	require.Equal(t, want, cases[1].steps[0].expected)
	require.Equal(t, []string{"two.it"}, want.values())
}

func TestKitRefusesCases(t *testing.T) {
	for name, c := range map[string]struct{ lines, want string }{
		"no promise":               {"\nrun it\n", "kit:2: case one: the first line has to say what the case promises"},
		"no steps":                 {"Promise.\n# run it\n", "kit:2: case one has no steps"},
		"an unknown step":          {"Promise.\nstart it\n", `kit:3: case one: "start" is no step: there are context, refused and run`},
		"a run of nothing":         {"Promise.\nrun\n", "kit:3: case one: run needs the name of a snippet"},
		"an unknown option":        {"Promise.\nrun it slowly\n", `kit:3: case one: "slowly" is no option of run`},
		"an option of another":     {"Promise.\ncontext interrupted\n", `kit:3: case one: "interrupted" is no option of context`},
		"a value for an option":    {"Promise.\nrun it $x\n", "kit:3: case one: $x stands where an option should"},
		"no duration":              {"Promise.\nrun it timeout:soon\n", `kit:3: case one: "soon" is no duration`},
		"a refusal without words":  {"Promise.\nrefused cwd=/x\n", "kit:3: case one: a refused context needs the end: says WORDS"},
		"an expectation alone":     {"Promise.\n\n  stdout x\n", `kit:4: case one: "stdout" stands under no run`},
		"one of a context":         {"Promise.\ncontext\n  stdout x\n", `kit:4: case one: "stdout" stands under no run`},
		"an unknown expectation":   {"Promise.\nrun it\n  stdin x\n", `kit:4: case one: "stdin", with 1 words behind it, is nothing that an execution tells`},
		"too many words":           {"Promise.\nrun it\n  stdout x y\n", `kit:4: case one: "stdout", with 2 words behind it, is nothing`},
		"an unknown generation":    {"Promise.\nrun it\n  generation 4\n", `kit:4: case one: "generation", with 1 words`},
		"a string without its end": {"Promise.\nrun it\n  stdout \"x\n", "kit:4: case one: a string begins that is none in Go: \"x"},
		"no number":                {"Promise.\nrun it\n  stdout numbered some\n", `kit:4: case one: "some" is no number of lines`},
		"a case twice":             {"Promise.\nrun it\n-- one --\n", "kit:4: one is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseKit("kit", "-- one --\n"+c.lines)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestKitLanguageFits(t *testing.T) {
	cases, err := parseKit("kit", `-- one --
Promise.
run a
  result $one.a
run b
-- two --
Promise.
run c
  error $two.name words
`)
	require.NoError(t, err)
	whole := `Comment.
-- values --
# a comment
one.a = "4\n2"
two.name = "Error"
-- one/a --
code

-- one/b --
-- two/c --
more
`
	l, err := parseKitLanguage("x.txtar", whole, cases)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"one.a": "4\n2", "two.name": "Error"}, l.values)
	require.Equal(t, map[string]string{"one/a": "code\n", "one/b": "", "two/c": "more"}, l.snippets)

	t.Run("exceptions excuse snippets and their values", func(t *testing.T) {
		l, err := parseKitLanguage("x.txtar", `-- exceptions --
one/a: it has no: values
two: cannot
-- one/b --
`, cases)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"one/a": "it has no: values", "two": "cannot"}, l.exceptions)
	})
	for name, c := range map[string]struct{ old, new, want string }{
		"a snippet is missing":      {"-- one/b --\n", "", "case one: no snippet one/b, and no exception"},
		"a value is missing":        {"one.a = \"4\\n2\"\n", "", "case one: no value one.a, which line 3 refers to"},
		"a value is no string":      {`"Error"`, "Error", "line 5: Error is no Go string"},
		"a value is twice":          {"# a comment", `one.a = ""`, "line 4: one.a is there twice"},
		"a line says nothing":       {"# a comment", "words", `line 3: "words" is no line of values`},
		"an exception has no why":   {"Comment.", "-- exceptions --\ntwo:", `line 2: "two:" is no line of exceptions`},
		"a snippet is unknown":      {"-- two/c --", "-- two/d --\n-- two/c --", "snippet two/d: no case knows it"},
		"a value is unknown":        {"# a comment", `x.y = ""`, "value x.y: no case knows it"},
		"an exception is for none":  {"Comment.", "-- exceptions --\nthree: why", "exception for three: no case knows it"},
		"a snippet is twice":        {"-- two/c --", "-- one/b --\n-- two/c --", "one/b is there twice"},
		"a snippet lacks its slash": {"-- two/c --", "-- notes --\n-- two/c --", "snippet notes: no case knows it"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, whole, c.old)
			_, err := parseKitLanguage("x.txtar", strings.Replace(whole, c.old, c.new, 1), cases)
			require.ErrorContains(t, err, "x.txtar")
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestKitLanguages holds all languages' files against the kit, images or not.
func TestKitLanguages(t *testing.T) {
	kit, err := os.ReadFile("testdata/conformance/kit.txtar")
	require.NoError(t, err)
	cases, err := parseKit("kit.txtar", string(kit))
	require.NoError(t, err)
	languages, err := Languages()
	require.NoError(t, err)
	for _, l := range languages {
		t.Run(l.Name, func(t *testing.T) {
			file := "testdata/conformance/" + l.Name + ".txtar"
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = parseKitLanguage(file, string(content), cases)
			require.NoError(t, err)
		})
	}
}
