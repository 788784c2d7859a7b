//go:build integration

package python

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// want is what a cell must bring. Empty fields mean nothing of the kind.
type want struct {
	main, displays, out, err, error string
}

func (r *run) want() want {
	return want{main: r.mains(), displays: r.displays(), out: r.out(), err: r.err(), error: r.error()}
}

func TestModulesOfTheUsersMayHaveAnyName(t *testing.T) {
	d := boot(t)
	d.do("for name in ('matplotlib', 'PIL'): open(name + '.py', 'w').write('x = 41')")
	require.Equal(t, want{main: "42"}, d.do("import matplotlib, PIL\nmatplotlib.x + 1").want())
}

func TestExceptionsWhoseClassHasNoName(t *testing.T) {
	d := boot(t)
	for _, name := range []string{"5", "1 / 0"} {
		r := d.do("class M(type):\n    @property\n    def __name__(cls): return " + name + "\nclass E(Exception, metaclass=M): pass\nraise E('x')")
		require.Len(t, r.errors, 1)
		require.Equal(t, []string{"E", "x"}, []string{r.errors[0].Name, r.errors[0].Value})
	}
	require.Equal(t, want{main: "2"}, d.do("1 + 1").want())
}

func TestCells(t *testing.T) {
	d := boot(t)
	for _, c := range []struct {
		name, code string
		want       want
	}{
		{"value of the last expression", "x = 1\nx + 1", want{main: "2"}},
		{"state is kept", "x", want{main: "1"}},
		{"statement has no value", "y = 2", want{}},
		{"semicolon hides the value", "1 + 1;", want{}},
		{"nothing", "", want{}},
		{"blanks and a comment", "  \n# nothing", want{}},
		{"indented as a whole", "    z = 3\n    z", want{main: "3"}},
		{"line ends of Windows", "x = 4\r\nx\r\n", want{main: "4"}},
		{"print", `print("hello")`, want{out: "hello\n"}},
		{"stderr", `import sys; print("oops", file=sys.stderr)`, want{err: "oops\n"}},
		{"unicode", `print("€ \U0001F600"); "é"`, want{main: "'é'", out: "€ \U0001F600\n"}},
		{"a surrogate is printed as an escape", `print(chr(0xd800))`, want{out: "\\ud800\n"}},
		{"display", `display("a"); display(2); 3`, want{displays: "'a'\n2", main: "3"}},
		{"updates of a display are ignored", `h = display(1, display_id=True); h.update(2)`, want{displays: "1"}},
		{"await", "import asyncio\nawait asyncio.sleep(0.01)\nawait asyncio.sleep(0, 'slept')", want{main: "'slept'"}},
		{"line magic", "%env A", want{main: "'a'"}},
		{"cell magic", "%%bash\necho from bash", want{out: "from bash\n"}},
		{"captured output", "%%capture c\nprint(1)\n2", want{}},
		{"command", "!echo $A; echo err >&2", want{out: "a\n", err: "err\n"}},
		{"exit code of a command", "!exit 3\n_exit_code", want{main: "3"}},
		{"output of a command", "files = !printf 'a\\nb'\nfiles", want{main: "['a', 'b']"}},
		{"python variable in a command", "v = 'w'\n!echo {v}", want{out: "w\n"}},
		{"NameError", "nope", want{error: "NameError"}},
		{"SyntaxError", "def f(:", want{error: "SyntaxError"}},
		{"IndentationError", "if 1:\nx", want{error: "IndentationError"}},
		{"unknown magic", "%nope", want{error: "UsageError"}},
		{"sys.exit", "import sys; sys.exit(3)", want{error: "SystemExit"}},
		{"exit", "exit()", want{error: "SystemExit"}},
		{"exit with a status", "exit(3)", want{error: "SystemExit"}},
		{"quit", "quit", want{error: "SystemExit"}},
		{"group of exceptions", "raise ExceptionGroup('g', [ValueError(1)])", want{error: "ExceptionGroup"}},
		{"input", "input()", want{error: "EOFError"}},
		{"asyncio.run in a running loop", "asyncio.run(None)", want{error: "RuntimeError"}},
		{"context variables stay", "import contextvars; cv = contextvars.ContextVar('cv'); cv.set(5);", want{}},
		{"context variables stayed", "cv.get()", want{main: "5"}},
		{"tasks go on between cells", "t = asyncio.create_task(asyncio.sleep(0.01, 'late'));", want{}},
		{"task of an earlier cell", "await t", want{main: "'late'"}},
		{"processes of multiprocessing", "import multiprocessing\nwith multiprocessing.Pool(2) as p: print(p.map(abs, [-1, -2]))", want{out: "[1, 2]\n"}},
		{"%reset", "%reset -f", want{}},
		{"after %reset", "1", want{main: "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.t = t
			require.Equal(t, c.want, d.do(c.code).want())
		})
	}
}

func TestExecutionCountRises(t *testing.T) {
	d := boot(t)
	for count := 1; count <= 3; count++ {
		require.Equal(t, count, d.do("1/0").started)
	}
	require.Contains(t, d.do("1/0").errors[0].Traceback, "Cell In[4], line 1")
}

func TestErrors(t *testing.T) {
	d := boot(t)
	t.Run("traceback is IPython's, without colours", func(t *testing.T) {
		d.t = t
		r := d.do("def f():\n    return 1/0\nf()")
		require.Equal(t, "ZeroDivisionError", r.error())
		require.Equal(t, "division by zero", r.errors[0].Value)
		require.Contains(t, r.errors[0].Traceback, "Traceback (most recent call last)")
		require.Contains(t, r.errors[0].Traceback, "----> 2     return 1/0")
		require.NotContains(t, r.errors[0].Traceback, "\x1b")
		require.NotContains(t, r.errors[0].Traceback, "/opt/cubby")
	})
	t.Run("exception that cannot be shown", func(t *testing.T) {
		d.t = t
		r := d.do("class Bad(Exception):\n    def __str__(self): raise RuntimeError\nraise Bad")
		require.Equal(t, "Bad", r.error())
	})
	t.Run("long chain", func(t *testing.T) {
		d.t = t
		r := d.do("e = None\nfor i in range(3000):\n    n = ValueError(i); n.__context__ = e; e = n\nraise e")
		require.Equal(t, "ValueError", r.error())
	})
	t.Run("repr that raises", func(t *testing.T) {
		d.t = t
		r := d.do("class R:\n    def __repr__(self): raise ValueError('bad')\nR()")
		require.Equal(t, want{error: "ValueError"}, r.want())
	})
}

func TestResults(t *testing.T) {
	d := boot(t)
	types := func(t *testing.T, code string) map[string]any {
		t.Helper()
		d.t = t
		r := d.do(code)
		require.Len(t, r.results, 1, r.want())
		return r.results[0].Data
	}
	t.Run("data frame as HTML", func(t *testing.T) {
		require.Contains(t, types(t, "import pandas; pandas.DataFrame({'a': [1]})")["text/html"], "<table")
	})
	t.Run("formula as LaTeX", func(t *testing.T) {
		require.Contains(t, types(t, "import sympy; sympy.Symbol('x') ** 2")["text/latex"], "x^{2}")
	})
	t.Run("picture as base64", func(t *testing.T) {
		picture := types(t, "from PIL import Image; Image.new('RGB', (2, 2))")["image/png"]
		require.True(t, strings.HasPrefix(picture.(string), "iVBORw0KGgo"))
	})
	t.Run("figures, shown and left open", func(t *testing.T) {
		d.t = t
		r := d.do("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\nplt.figure(figsize=(1, 1)); plt.plot([1]);")
		require.Equal(t, want{displays: "<Figure size 640x480 with 1 Axes>\n<Figure size 100x100 with 1 Axes>"}, r.want())
		for _, result := range r.results {
			require.True(t, strings.HasPrefix(result.Data["image/png"].(string), "iVBORw0KGgo"))
		}
	})
	t.Run("%matplotlib inline changes nothing", func(t *testing.T) {
		d.t = t
		require.Equal(t, "<Figure size 640x480 with 1 Axes>", d.do("%matplotlib inline\nplt.plot([1]);").displays())
	})
	t.Run("NaN is null, what is no JSON is left out", func(t *testing.T) {
		data := types(t, "display({'text/plain': 't', 'a/nan': [float('nan'), float('-inf')], 'a/set': {1}}, raw=True)")
		require.Equal(t, map[string]any{"text/plain": "t", "a/nan": []any{nil, nil}}, data)
	})
	t.Run("help", func(t *testing.T) {
		require.Contains(t, types(t, "len?")["text/plain"], "Return the number of items")
	})
	t.Run("long list whole", func(t *testing.T) {
		require.Contains(t, types(t, "list(range(1200))")["text/plain"], " 1199]")
	})
	t.Run("many", func(t *testing.T) {
		d.t = t
		require.Len(t, d.do("for i in range(10_000): display(i)").results, 10_000)
	})
}

func TestSetup(t *testing.T) {
	d := bootOnly(t, image)
	deep := "/home/user" + strings.Repeat("/a", 2000)
	for _, c := range []struct {
		name, cwd string
		env       map[string]string
		failure   string
	}{
		{name: "missing elsewhere", cwd: "/nowhere", failure: "no such directory: /nowhere"},
		{name: "file", cwd: "/etc/hostname", failure: "not a directory: /etc/hostname"},
		{name: "not allowed", cwd: "/root", failure: "permission denied: /root"},
		{name: "not in the workspace after all", cwd: "/home/user/../../nowhere", failure: "no such directory: /nowhere"},
		{name: "too deep", cwd: deep, failure: "too many directories to make: " + deep},
		{name: "impossible variable", env: map[string]string{"A=B": "x"}, failure: `environment variable 'A=B': illegal environment variable name`},
		{name: "elsewhere", cwd: "/tmp"},
		{name: "missing in the workspace", cwd: "/home/user/a b/ü'\"", env: map[string]string{"Q": `a'b"c\n`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.t = t
			require.Equal(t, c.failure, d.setup(c.cwd, c.env).Value)
		})
	}
	require.Equal(t, "/home/user/a b/ü'\"\na'b\"c\\n\n", d.do("import os; print(os.getcwd()); print(os.environ['Q'])").out())
}

func TestVariablesOfAnExecution(t *testing.T) {
	d := boot(t)
	show := "import os\nprint(os.environ.get('A'), os.environ.get('B'))\n"
	ours := map[string]string{"A": "x", "B": "y"}
	require.Equal(t, "x y\nx y\n", d.doWith(show+"!echo $A $B", ours).out())
	require.Equal(t, "a None\n", d.do(show).out())
	require.Equal(t, "KeyError", d.doWith("os.environ['A'] = 'z'; del os.environ['B']; {}[1]", ours).error())
	require.Equal(t, "a None\n", d.do(show).out())
	for _, name := range []string{"", "A=B", "A\x00"} {
		r := d.doWith("print('ran')", map[string]string{"A": "x", name: "y"})
		require.Equal(t, want{error: "ValueError"}, r.want())
	}
	require.Equal(t, want{error: "ValueError"}, d.doWith("print('ran')", map[string]string{"B": "\x00"}).want())
	require.Equal(t, "a None\n", d.do(show).out())
}

func TestPip(t *testing.T) {
	d := boot(t)
	for _, command := range []string{"!pip install cubby-nothing", "%pip install cubby-nothing"} {
		require.Contains(t, d.do(command).err(), "hint: this context has no network")
	}
	require.Equal(t, "0\n", d.do("!echo $PIP_RETRIES").out()) // at once: pip's own retries take half a minute
	// What pip puts into ~/.local is importable at once, in the same cell. A package is made here, since there is no network.
	r := d.do(`import site
!mkdir -p {site.getusersitepackages()} && echo "word = 'installed'" > {site.getusersitepackages()}/fresh.py
import fresh
fresh.word`)
	require.Equal(t, want{main: "'installed'"}, r.want())
}

func TestImageHasNoSetuidPrograms(t *testing.T) {
	require.Equal(t, want{}, boot(t).do("!find / -xdev -type f -perm /6000 2>/dev/null").want())
}
