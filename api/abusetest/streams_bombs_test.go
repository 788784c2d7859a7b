//go:build integration

package abusetest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestB22ResultBombs: many results all come, and one that is too large is replaced by a note that says so.
func TestB22ResultBombs(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct {
		name, code string
		results    int
		says       string
	}{
		{"10 000 results", "for i in range(10_000): display(i)", 10_000, "9999"},
		{"an image of 200 MB", "display({'image/png': 'A' * 200_000_000}, raw=True)", 1, "image/png of 200000"},
		{"HTML of 50 MB", "from IPython.display import HTML\nHTML('x' * 50_000_000)", 1, "text/html of 50000"},
		{"a result just under the limit", "display({'text/plain': 'x' * 8_000_000}, raw=True)", 1, "xxxx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := a.watch(t)
			st := a.begin(t, a.attacked, c.code)
			results, last := 0, ""
			for st.got.ends == 0 {
				line, err := st.read()
				require.NoError(t, err)
				if result, ok := line.(wire.Result); ok {
					require.NotNil(t, result.Text)
					results, last = results+1, *result.Text
				}
			}
			require.Equal(t, "ok", st.got.ending, "%+v", st.got)
			require.Equal(t, c.results, results)
			require.Contains(t, last, c.says)
			require.Less(t, len(last), 8<<20)
			a.settle(t, st.got)
			stop()
		})
	}
}

// TestB24SyntaxBombs: code that no parser takes is an error, and what no request may hold is refused.
func TestB24SyntaxBombs(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct{ name, code, errName, stdout string }{
		{"nested parentheses", strings.Repeat("(", 1_000_000), "SyntaxError", ""},
		{"nested minus signs", strings.Repeat("-", 300_000) + "1", "MemoryError", ""},
		{"100 000 branches", "if 0: pass\n" + strings.Repeat("elif 0: pass\n", 100_000), "MemoryError", ""},
		{"nested lists given to eval", "eval('[' * 10**6)", "SyntaxError", ""},
		{"NUL", "print(1)\x00", "SyntaxError", ""},
		{"line ends of two bytes", "x = 41\r\nprint(x)\r\n", "", "41\n"},
		{"a byte order mark", "\ufeffprint(1)", "SyntaxError", ""},
		{"mixed tabs", "if 1:\n\tx = 1\n        y = 2", "TabError", ""},
		{"a string without an end", "s = '''abc", "_IncompleteInputError", ""},
		{"a magic without an end", "%%bash\ncat <<X\nabc", "", "abc\n"},
		{"an integer of 10 000 digits", "n = " + strings.Repeat("9", 10_000), "SyntaxError", ""},
		{"3 MB of code", "s = '" + strings.Repeat("x", 3<<20) + "'\nprint(len(s))", "", "3145728\n"},
		{"invisible characters", "print('a\u202eb\u200b')", "", "a\u202eb\u200b\n"},
		{"nothing", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := a.attack(t, c.code, wire.Execute{TimeoutMS: 60_000})
			require.Equal(t, c.errName, got.errName, "%+v", got)
			require.Equal(t, c.errName == "", got.ending == "ok")
			require.Equal(t, c.stdout, got.stdout)
		})
	}
	t.Run("more code than is taken", func(t *testing.T) {
		_, err := a.execute(t.Context(), request(a.attacked, strings.Repeat("#", 5<<20)))
		require.ErrorContains(t, err, "status 413")
		require.Equal(t, "42", a.run(t, a.attacked, "x + 1").text)
	})
}
