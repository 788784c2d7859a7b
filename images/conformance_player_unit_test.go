package images

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// TestKitJudges: what is as a case says passes, and nothing else does.
func TestKitJudges(t *testing.T) {
	for name, c := range map[string]struct{ expected, code, problem string }{
		"nothing":                      {"", "", ""},
		"stdout":                       {"stdout ab", "out a\nout b", ""},
		"other stdout":                 {"stdout ab", "out a\nout c", `stdout is "ac" instead of "ab"`},
		"stdout with too much":         {"stdout ab", "out ab ", `stdout is "ab " instead of "ab"`},
		"stdout that is not said":      {"", "out a", `stdout is "a" instead of ""`},
		"any stdout":                   {"stdout any", "out a", ""},
		"stderr":                       {"stderr ab", "err ab", ""},
		"stdout for stderr":            {"stderr a", "out a", `stderr is "" instead of "a"`},
		"too few numbered lines":       {"stdout numbered 2", "", `stdout has 0 lines instead of 2`},
		"misnumbered lines":            {"stdout numbered 1", "out 000000001", `line 1 of stdout is "000000001" instead of "000000000\n"`},
		"a result":                     {"result 42", "result 42", ""},
		"another result":               {"result 42", "result 41", `there should be one main result, "42"`},
		"a result that is not main":    {"result 42", "html 42", `there should be one main result, "42"`},
		"two results":                  {"result 42", "result 42\nhtml x", `there are 2 results`},
		"no result":                    {"result 42", "", `there are 0 results`},
		"a result that is not said":    {"", "result 42", "there should be no result"},
		"a display":                    {"display text/html <b>", "result 1\nhtml <b>", ""},
		"another display":              {"display text/html <b>", "html <i>", `no result is "<b>" as text/html`},
		"a display of text alone":      {"display text/html <b>", "result <b>", `no result is "<b>" as text/html`},
		"an error":                     {"error E \"is no\"\nending error", "error E x is no y", ""},
		"another error":                {"error E \"is no\"\nending error", "error F x is no y", `the error is "F": "x is no y", instead of "E" with "is no"`},
		"an error in other words":      {"error E \"is no\"\nending error", "error E other", `instead of "E" with "is no"`},
		"an error without a traceback": {"error Interrupt now\nending interrupted", "out x\nwait", "the error has no traceback"},
		"an error without a name":      {"error \"\" x\nending error", "nameless x", ""},
		"any error":                    {"error any\nending error", "error E x", ""},
		"no error":                     {"error any\nending ok", "", "there should be one error, not 0"},
		"an error that is not said":    {"ending error", "error E x", "there should be no error, but E: x"},
		"another ending":               {"ending timeout", "", `the ending is "ok " instead of "timeout"`},
		"another state":                {"ending crashed", "die", `the state is "lost" instead of "preserved"`},
		"a death":                      {"ending crashed\nstate lost\nsays \"status 3\"", "die exit status 3", ""},
		"another death":                {"ending crashed\nstate lost\nsays \"status 3\"", "die signal", `the done's value is "signal"`},
		"an older generation":          {"generation next", "", "the generation is 1 instead of 2"},
		"missing output":               {"", "gap", "7 bytes of output are missing"},
		"no usage":                     {"", "meterless", "the done has no usage"},
		"events out of order":          {"", "backwards", "event 0 came after 0"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := "run it interrupted\n"
			for line := range strings.Lines(c.expected) {
				lines += "  " + line
			}
			if strings.Contains(c.expected, "Interrupt") {
				lines += "\n  stdout x"
			}
			v, f := rehearse(t, lines, "-- case/it --\n"+c.code+"\n")
			require.Empty(t, v.exceptions)
			if c.problem == "" {
				require.Empty(t, v.problems)
				require.Len(t, f.listed, 1, "the context is left to the next case")
				return
			}
			require.Contains(t, strings.Join(v.problems, "\n"), c.problem)
			require.Contains(t, v.problems[0], "kit.txtar:3: case case: run it: ")
			require.Empty(t, f.listed, "the next case begins anew")
		})
	}
}

func TestKitPlays(t *testing.T) {
	t.Run("steps of a context of their own", func(t *testing.T) {
		v, f := rehearse(t, `run a X="1 2" timeout:2s
context A=b cwd=/home/user/x
run a
`, "-- case/a --\n")
		require.Empty(t, v)
		require.Equal(t, map[string]int{"1": 1}, f.listed, "it is gone, the shared one is not")
		require.Equal(t, []orchestrator.ExecuteRequest{
			{Context: "1", Env: map[string]string{"X": "1 2"}, Timeout: 2 * time.Second},
			{Context: "2", Env: map[string]string{}},
		}, f.executions)
	})
	t.Run("an interrupt, once something is printed", func(t *testing.T) {
		v, _ := rehearse(t, "run a interrupted\n  stdout x\n  error any\n  ending interrupted\n", "-- case/a --\nout x\nwait\n")
		require.Empty(t, v)
	})
	t.Run("a fresh kernel", func(t *testing.T) {
		v, _ := rehearse(t, "run a\n  ending crashed\n  state lost\nrun b\n  generation next\nrun b\n",
			"-- case/a --\ndie\n-- case/b --\n")
		require.Empty(t, v)
	})
	t.Run("a fresh kernel that was not said", func(t *testing.T) {
		v, _ := rehearse(t, "run a\n  ending crashed\n  state lost\nrun b\n", "-- case/a --\ndie\n-- case/b --\n")
		require.Equal(t, []string{"kit.txtar:6: case case: run b: the generation is 2 instead of 1"}, v.problems)
	})
	t.Run("a refused context", func(t *testing.T) {
		v, f := rehearse(t, "refused cwd=/nowhere says directory\n", "")
		require.Empty(t, v)
		require.Len(t, f.listed, 1)
	})
	t.Run("one that is refused in other words", func(t *testing.T) {
		v, _ := rehearse(t, "refused cwd=/nowhere says workspace\n", "")
		require.Contains(t, v.problems[0], `instead of something with "workspace"`)
	})
	t.Run("one that is not refused", func(t *testing.T) {
		v, f := rehearse(t, "refused cwd=/tmp says directory\n", "")
		require.Equal(t, []string{"kit.txtar:3: case case: refused: it was not refused"}, v.problems)
		require.Empty(t, f.listed)
	})
	t.Run("an execution without an end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v, _ := rehearse(t, "run a\n", "-- case/a --\nout x\nwait\n")
			require.Contains(t, v.problems[0], `run a: it has not ended: context deadline exceeded; stdout is "x"`)
		})
	})
	t.Run("nothing after a step that failed", func(t *testing.T) {
		_, f := rehearse(t, "run a\nrun b\n", "-- case/a --\nout x\n-- case/b --\n")
		require.Len(t, f.executions, 1)
	})
}

func TestKitHoldsExceptionsTrue(t *testing.T) {
	const lines = "run a\nrun b\n  stdout x\nrun c\n"
	for name, c := range map[string]struct {
		exceptions, code string
		problem          string
	}{
		"of a case without snippets":       {"case: cannot", "", ""},
		"of a case that fails":             {"case: cannot", "-- case/a --\n-- case/b --\nout y\n-- case/c --\n", ""},
		"of a case that passes":            {"case: cannot", "-- case/a --\n-- case/b --\nout x\n-- case/c --\n", "the exception for case (cannot) is not true: the case passes"},
		"of a step without its snippet":    {"case/b: cannot", "-- case/a --\n-- case/c --\n", ""},
		"of a step that fails":             {"case/b: cannot", "-- case/a --\n-- case/b --\nout y\n-- case/c --\n", ""},
		"of a step that passes":            {"case/b: cannot", "-- case/a --\n-- case/b --\nout x\n-- case/c --\n", "run b: the exception (cannot) is not true: the step passes"},
		"of a step, and another one fails": {"case/b: cannot", "-- case/a --\n-- case/c --\nout y\n", `run c: stdout is "y" instead of ""`},
	} {
		t.Run(name, func(t *testing.T) {
			v, f := rehearse(t, lines, "-- exceptions --\n"+c.exceptions+"\n"+c.code)
			require.Equal(t, []string{"cannot"}, v.exceptions)
			require.Equal(t, strings.Contains(c.code, "out"), len(f.listed) == 0, "where something failed the next case begins anew")
			if c.problem == "" {
				require.Empty(t, v.problems)
				return
			}
			require.Contains(t, strings.Join(v.problems, "\n"), c.problem)
		})
	}
}

func TestKitTable(t *testing.T) {
	table := kitTable{cases: []kitCase{{name: "one"}, {name: "two"}}, languages: []string{"a", "b"}}
	table.add("a", map[string]verdict{"one": {}, "two": {exceptions: []string{"cannot", "may not"}}})
	require.False(t, table.isWhole())
	table.add("b", map[string]verdict{"one": {exceptions: []string{"cannot"}}})
	require.False(t, table.isWhole(), "a case was not played")
	table.add("b", map[string]verdict{
		"one": {exceptions: []string{"cannot"}}, "two": {exceptions: []string{"cannot"}, isExcused: true},
	})
	require.True(t, table.isWhole())

	page, err := table.replaceIn("before\n" + tableBegins + "old\n" + tableEnds + "after\n")
	require.NoError(t, err)
	require.Equal(t, "before\n"+tableBegins+`
| case | a | b |
|---|---|---|
| one | pass | pass but for [1] |
| two | pass but for [2] [3] | [1] |

Exceptions, which the test holds to be true:

1. b: cannot
2. a: cannot
3. a: may not

`+tableEnds+"after\n", page)
	again, err := table.replaceIn(page)
	require.NoError(t, err)
	require.Equal(t, page, again)
	_, err = table.replaceIn("before\n" + tableEnds)
	require.ErrorContains(t, err, "the page has no lines")
}
