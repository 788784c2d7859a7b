//go:build integration

package javascript

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// cells are played one after the other in one context.
type cells []struct {
	name, code string
	want       want
}

func (cells cells) play(t *testing.T, c *cell) {
	t.Helper()
	for _, cell := range cells {
		t.Run(cell.name, func(t *testing.T) {
			c.t = t
			require.Equal(t, cell.want, c.do(cell.code).want())
		})
	}
}

func TestCells(t *testing.T) {
	cells{
		{"value of the last expression", "const x = 1\nx + 1", want{main: "2"}},
		{"state is kept", "x", want{main: "1"}},
		{"declaration has no value", "let y = 2", want{}},
		{"undefined is no result", "undefined", want{}},
		{"null is one", "null", want{main: "null"}},
		{"nothing", "", want{}},
		{"comment", "// nothing", want{}},
		{"line ends of Windows", "let w = 4\r\nw\r\n", want{main: "4"}},
		{"object literal", "({a: 1n, b: [undefined]})", want{main: "{ a: 1n, b: [ undefined ] }"}},
		{"numbers that JSON lacks", "[NaN, -0, Infinity]", want{main: "[ NaN, -0, Infinity ]"}},
		{"such a number alone", "-0", want{main: "-0"}},
		{"big integer", "2n ** 70n", want{main: "1180591620717411303424n"}},
		{"symbol", "Symbol('s')", want{main: "Symbol(s)"}},
		{"function", "(function f() {})", want{main: "[Function: f]"}},
		{"promise is awaited", "Promise.resolve('kept')", want{main: "'kept'"}},
		{"promise that is rejected", "Promise.reject(new RangeError('no'))", want{error: "RangeError: no"}},
		{"await", "const later = await new Promise(r => setTimeout(r, 10, 'slept')); later", want{main: "'slept'"}},
		{"for await", "for await (const n of (async function* () { yield 1; yield 2 })()) console.log(n)", want{out: "1\n2\n"}},
		{
			"console", "console.log('%s is %d', 'a', 1); console.error('e'); console.table([[1]])",
			want{out: "a is 1\n" + table, err: "e\n"},
		},
		{"half of a surrogate pair", "process.stdout.write('\\ud800'); undefined", want{out: "\ufffd"}},
		{"display", `display("a"); display({n: 2}); 3`, want{displays: "'a'\n{ n: 2 }", main: "3"}},
		{"thrown text", "throw 'text'", want{error: "Error: 'text'"}},
		{"thrown nothing", "throw undefined", want{error: "Error: undefined"}},
		{"ReferenceError", "nope", want{error: "ReferenceError: nope is not defined"}},
		{"SyntaxError", "let = =", want{error: "SyntaxError: Unexpected token '='"}},
		{"error with a name of its own", "class Mine extends Error { name = 'Mine' }; throw new Mine('m')", want{error: "Mine: m"}},
		{"error that cannot be shown", "throw new Proxy(new Error('p'), {get() { throw 1 }})", want{error: "Error: an error that cannot be shown"}},
		{"value that cannot be shown", "({get [Symbol.for('Jupyter.display')]() { throw new Error('hostile') }})", want{error: "Error: hostile"}},
		{"this", "this === globalThis", want{main: "true"}},
		{"standard input", "require('fs').readFileSync(0, 'utf8')", want{main: "''"}},
		{"JSON's SyntaxError", "JSON.parse('{')", want{error: "SyntaxError: Expected property name or '}' in JSON at position 1 (line 1 column 2)"}},
		{"debugger is no stop", "debugger; 1", want{main: "1"}},
		{"is the main module", "require.main === module", want{main: "true"}},
	}.play(t, boot(t, "javascript"))
}

const table = `┌─────────┬───┐
│ (index) │ 0 │
├─────────┼───┤
│ 0       │ 1 │
└─────────┴───┘
`

func TestDeclarationsMayBeRepeated(t *testing.T) {
	c := boot(t, "javascript")
	declarations := []string{
		"const d = 1", "let d = 2", "var d = 3", "const {d} = {d: 4}", "const [...d] = [5]", "class d {}", "function d() { return 6 }",
		"import d from 'fs'", "import * as d from 'fs'", "import {readFileSync as d} from 'fs'", "export const d = 7",
	}
	for _, before := range declarations {
		for _, after := range declarations {
			require.Equal(t, want{}, c.do(before).want(), before)
			require.Equal(t, want{}, c.do(after).want(), "%s after %s", after, before)
		}
	}
	require.Equal(t, want{main: "8"}, c.do("d = 8; d").want())
	cells{
		{"names of two kinds", "let l = 1; var v = 2; l + v", want{main: "3"}},
		{"function first", "function f() { return 1 }; f()", want{main: "1"}},
		{"then a constant", "const f = () => 2; f()", want{main: "2"}},
		{"then a class", "class f { static n = 3 }; f.n", want{main: "3"}},
		{"a cell that fails declares as well", "const failed = 1; throw 1", want{error: "Error: 1"}},
		{"what it has declared", "failed", want{main: "1"}},
		{"a cell that cannot be parsed declares nothing", "const unparsed = 1; let let", want{error: "SyntaxError: let is disallowed as a lexically bound name"}},
		{"whatever it would have been", "function unparsed() { return 2 }; unparsed()", want{main: "2"}},
	}.play(t, c)
}

func TestModules(t *testing.T) {
	c := boot(t, "javascript")
	cells{
		{"files", `const fs = require('fs')
fs.mkdirSync('node_modules/pack', {recursive: true}); fs.mkdirSync('sub')
fs.writeFileSync('node_modules/pack/index.js', 'exports.word = "installed"')
fs.writeFileSync('own.mjs', 'export default 1; export const two = 2; import.meta.url')
fs.writeFileSync('sub/own.mjs', 'export default "sub"')
fs.writeFileSync('data.json', '{"n": 3}')`, want{}},
		{"require of a package", "require('pack').word", want{main: "'installed'"}},
		{"import of a package", "import {word} from 'pack'; word", want{main: "'installed'"}},
		{"all forms", `import one, {two as zwei, "two" as due} from './own.mjs'; import * as own from './own.mjs'; import 'pack';
[one, zwei, due, own.two]`, want{main: "[ 1, 2, 2, 2 ]"}},
		{"a name and the whole", "import uno, * as whole from './own.mjs'; [uno, whole.two]", want{main: "[ 1, 2 ]"}},
		{"attributes", "import data from './data.json' with {type: 'json'}; data.n", want{main: "3"}},
		{"expression", "const load = async (name) => (await import(name)).default; load('./own.mjs')", want{main: "1"}},
		{"missing", "import 'missing'", want{error: "Error: Cannot find package 'missing' imported from /home/user/[cell]"}},
		{"directory changes", "process.chdir('sub')", want{}},
		{"import follows", "import moved from './own.mjs'; moved", want{main: "'sub'"}},
		{"require follows", "require.resolve('../data.json')", want{main: "'/home/user/data.json'"}},
		{"names follow", "[__dirname, process.cwd()]", want{main: "[ '/home/user/sub', '/home/user/sub' ]"}},
	}.play(t, c)
}

func TestTypeScript(t *testing.T) {
	cells{
		{"types", "interface P { n: number }\nconst p: P = { n: 1 }\np.n as number", want{main: "1"}},
		{"enum", "enum Color { Red, Green = 5 }; Color.Green", want{main: "5"}},
		{"enum again", "enum Color { Blue = 7 }; Color.Blue", want{main: "7"}},
		{"parameter property", "class A { constructor(private x: number) {} get() { return this.x } }; new A(3).get()", want{main: "3"}},
		{"namespace", "namespace N { export const a = 1 }; N.a", want{main: "1"}},
		{"generics", "const id = <T,>(x: T): T => x; await id<Promise<string>>(Promise.resolve('t'))", want{main: "'t'"}},
		{"import of types", "import type { Stats } from 'fs'; import { type Dirent, existsSync } from 'fs'; existsSync('/')", want{main: "true"}},
		{"export", "export interface X { a: 1 }\nexport const exported: X = { a: 1 }\nexported.a", want{main: "1"}},
		{"syntax", "let x: number = ;", want{error: "SyntaxError: Expression expected"}},
		{"JavaScript", "[1, 2].map((n) => n * 2)", want{main: "[ 2, 4 ]"}},
	}.play(t, boot(t, "ts"))
}

func TestErrorsSayWhere(t *testing.T) {
	traceback := func(language, code string) string { return boot(t, language).do(code).errors[0].Traceback }
	require.Equal(t, `TypeError: bad
    at f (cell-1.js:2:23)
    at cell-1.js:4:1 {
  code: 'E',
  [cause]: Error: why
      at f (cell-1.js:2:52)
      at cell-1.js:4:1
}`, traceback("js", "function f() {\n  throw Object.assign(new TypeError('bad', {cause: new Error('why')}), {code: 'E'})\n}\nf()"))
	require.Equal(t, "cell-1.js:2\nfoo bar\n    ^\n\nSyntaxError: Unexpected identifier 'bar'", traceback("js", "1\nfoo bar"))
	require.Equal(t, "cell-1.ts:2\n1\nfoo bar\n    ^^^\n\nSyntaxError: Expected ';', '}' or <eof>", traceback("ts", "1\nfoo bar"))
	require.Contains(t, traceback("ts", "interface I {}\nconst n: number = 1\nnull.x"), "at cell-1.ts:3:6")
}

func TestErrorsThatNobodyCatches(t *testing.T) {
	c := boot(t, "javascript")
	require.Equal(t, want{}, c.do("process.removeAllListeners(); undefined").want())
	r := c.do(`setTimeout(() => { throw new Error('late') }); Promise.reject(new Error('unhandled'))
await new Promise(r => setTimeout(r, 50)); undefined`)
	require.Contains(t, r.err, "Uncaught Error: unhandled\n    at cell-2.js:1:")
	require.Contains(t, r.err, "Uncaught Error: late\n    at Timeout._onTimeout (cell-2.js:1:")
	require.NotContains(t, r.err, "/opt/cubby")
	require.Equal(t, kernel.EndingOK, r.done.Ending)
}

func TestResults(t *testing.T) {
	c := boot(t, "javascript")
	only := func(t *testing.T, code string) result {
		t.Helper()
		c.t = t
		r := c.do(code)
		require.Len(t, r.results, 1, r.want())
		return r.results[0]
	}
	bundle := `{"text/html": "<b>x</b>", "application/json": {n: NaN, d: new Date(0)}, "image/png": Buffer.from("png"), "image/svg+xml": Buffer.from("<svg/>"), "a/none": undefined}`
	data := map[string]any{
		"text/html": "<b>x</b>", "application/json": map[string]any{"n": nil, "d": "1970-01-01T00:00:00.000Z"},
		"image/png": "cG5n", "image/svg+xml": "<svg/>",
	}
	for name, code := range map[string]string{
		"bundle":                       "display(" + bundle + ")",
		"value with a symbol":          "display({[Symbol.for('Jupyter.display')]: () => (" + bundle + ")})",
		"value with an async function": "await display({[Symbol.for('Jupyter.display')]: async () => (" + bundle + ")})",
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, result{false, data}, only(t, code)) })
	}
	t.Run("last expression", func(t *testing.T) {
		require.Equal(t, result{true, data}, only(t, "({[Symbol.for('Jupyter.display')]: () => ("+bundle+")})"))
	})
	t.Run("last expression, later", func(t *testing.T) {
		require.Equal(t, result{true, data}, only(t, "({[Symbol.for('Jupyter.display')]: async () => ("+bundle+")})"))
	})
	t.Run("no bundle", func(t *testing.T) {
		c.t = t
		require.Equal(t, want{error: "TypeError: what is displayed should be an object of MIME types, not 5"},
			c.do("({[Symbol.for('Jupyter.display')]: () => 5})").want())
	})
	t.Run("many", func(t *testing.T) {
		c.t = t
		require.Len(t, c.do("for (let i = 0; i < 5000; i++) display(i)").results, 5000)
	})
	t.Run("large", func(t *testing.T) {
		require.Contains(t, only(t, "'x'.repeat(5e7)").data["text/plain"], "... 49990000 more characters")
	})
}

func TestDirectories(t *testing.T) {
	for _, c := range []struct{ cwd, failure string }{
		{"/nowhere", "no such directory: /nowhere"},
		{"/etc/hostname", "not a directory: /etc/hostname"},
		{"/root", "permission denied: /root"},
		{"/home/user/../../nowhere", "no such directory: /nowhere"},
	} {
		_, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "js", Cwd: c.cwd})
		require.ErrorContains(t, err, c.failure)
	}
	cc, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "js", Cwd: "/home/user/a b/ü'\""})
	require.NoError(t, err)
	require.Equal(t, want{out: "/home/user/a b/ü'\"\n"}, (&cell{t, cc.ID}).do("console.log(process.cwd())").want())
	require.NoError(t, world.Remove(t.Context(), cc.ID))
}

func TestVariablesOfAnExecution(t *testing.T) {
	c := boot(t, "javascript")
	show := "console.log(process.env.A, process.env.B)\n"
	ours := map[string]string{"A": "x", "B": "y"}
	require.Equal(t, "x y\nx y\n", c.doWith(show+"require('child_process').execSync('echo $A $B', {stdio: 'inherit'})", ours).out)
	require.Equal(t, "a undefined\n", c.do(show).out)
	require.Equal(t, want{error: "Error: 1"}, c.doWith("process.env.A = 'z'; delete process.env.B; throw 1", ours).want())
	require.Equal(t, "a undefined\n", c.do(show).out)
	require.Equal(t, want{}, c.doWith("process.env = {}; undefined", ours).want())
	require.Equal(t, "a undefined\n", c.do(show).out)
}

func TestNpm(t *testing.T) {
	r := boot(t, "javascript").do("require('child_process').execSync('npm install cubby-nothing', {stdio: 'inherit'})")
	require.Contains(t, r.err, "hint: this context has no network")
	require.True(t, strings.HasPrefix(r.errors[0].Value, "Command failed: npm install"), r.errors[0].Value)
	require.Equal(t, want{main: "'11.21.2\\n'"}, boot(t, "javascript").do("require('child_process').execSync('npm --version').toString()").want())
}

func TestImageHasNoSetuidPrograms(t *testing.T) {
	find := "require('child_process').spawnSync('find', ['/', '-xdev', '-type', 'f', '-perm', '/6000']).stdout.toString()"
	require.Equal(t, want{main: "''"}, boot(t, "javascript").do(find).want())
}
