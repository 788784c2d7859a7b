//go:build integration

package javascript

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestCells(t *testing.T) {
	cells{
		{"value of the last expression", "const x = 1\nx + 1", want{Main: "2"}},
		{"state is kept", "x", want{Main: "1"}},
		{"declaration has no value", "let y = 2", want{}},
		{"text of several lines", "'a long line\\n'.repeat(9)", want{Main: "'" + strings.Repeat(`a long line\n`, 9) + "'"}},
		{"undefined is no result", "undefined", want{}},
		{"null is one", "null", want{Main: "null"}},
		{"nothing", "", want{}},
		{"comment", "// nothing", want{}},
		{"line ends of Windows", "let w = 4\r\nw\r\n", want{Main: "4"}},
		{"object literal", "({a: 1n, b: [undefined]})", want{Main: "{ a: 1n, b: [ undefined ] }"}},
		{"numbers that JSON lacks", "[NaN, -0, Infinity]", want{Main: "[ NaN, -0, Infinity ]"}},
		{"such a number alone", "-0", want{Main: "-0"}},
		{"big integer", "2n ** 70n", want{Main: "1180591620717411303424n"}},
		{"symbol", "Symbol('s')", want{Main: "Symbol(s)"}},
		{"function", "(function f() {})", want{Main: "[Function: f]"}},
		{"promise is awaited", "Promise.resolve('kept')", want{Main: "'kept'"}},
		{"promise that is rejected and not waited for", "(async () => { throw 7 })(); 5", want{Main: "5", Err: "Uncaught 7\n"}},
		{"promise that is rejected", "Promise.reject(new RangeError('no'))", want{Error: "RangeError: no"}},
		{"await", "const later = await new Promise(r => setTimeout(r, 10, 'slept')); later", want{Main: "'slept'"}},
		{"for await", "for await (const n of (async function* () { yield 1; yield 2 })()) console.log(n)", want{Out: "1\n2\n"}},
		{
			"console", "console.log('%s is %d', 'a', 1); console.error('e'); console.table([[1]])",
			want{Out: "a is 1\n" + table, Err: "e\n"},
		},
		{"half of a surrogate pair", "process.stdout.write('\\ud800'); undefined", want{Out: "\ufffd"}},
		{"display", `display("a"); display({n: 2}); 3`, want{Displays: "'a'\n{ n: 2 }", Main: "3"}},
		{"thrown text", "throw 'text'", want{Error: "Error: 'text'"}},
		{"thrown nothing", "throw undefined", want{Error: "Error: undefined"}},
		{"ReferenceError", "nope", want{Error: "ReferenceError: nope is not defined"}},
		{"SyntaxError", "let = =", want{Error: "SyntaxError: Unexpected token '='"}},
		{"error with a name of its own", "class Mine extends Error { name = 'Mine' }; throw new Mine('m')", want{Error: "Mine: m"}},
		{"error that cannot be shown", "throw new Proxy(new Error('p'), {get() { throw 1 }})", want{Error: "Error: an error that cannot be shown"}},
		{"value that cannot be shown", "({get [Symbol.for('Jupyter.display')]() { throw new Error('hostile') }})", want{Error: "Error: hostile"}},
		{"this", "this === globalThis", want{Main: "true"}},
		{"standard input", "require('fs').readFileSync(0, 'utf8')", want{Main: "''"}},
		{"JSON's SyntaxError", "JSON.parse('{')", want{Error: "SyntaxError: Expected property name or '}' in JSON at position 1 (line 1 column 2)"}},
		{"debugger is no stop", "debugger; 1", want{Main: "1"}},
		{"is the main module", "require.main === module", want{Main: "true"}},
	}.Play(t, boot(t, "javascript"))
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
			require.Equal(t, want{}, c.Do(before).Want(), before)
			require.Equal(t, want{}, c.Do(after).Want(), "%s after %s", after, before)
		}
	}
	require.Equal(t, want{Main: "8"}, c.Do("d = 8; d").Want())
	cells{
		{"names of two kinds", "let l = 1; var v = 2; l + v", want{Main: "3"}},
		{"function first", "function f() { return 1 }; f()", want{Main: "1"}},
		{"then a constant", "const f = () => 2; f()", want{Main: "2"}},
		{"then a class", "class f { static n = 3 }; f.n", want{Main: "3"}},
		{"a cell that fails declares as well", "const failed = 1; throw 1", want{Error: "Error: 1"}},
		{"what it has declared", "failed", want{Main: "1"}},
		{"a cell that cannot be parsed declares nothing", "const unparsed = 1; let let", want{Error: "SyntaxError: let is disallowed as a lexically bound name"}},
		{"whatever it would have been", "function unparsed() { return 2 }; unparsed()", want{Main: "2"}},
	}.Play(t, c)
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
		{"require of a package", "require('pack').word", want{Main: "'installed'"}},
		{"import of a package", "import {word} from 'pack'; word", want{Main: "'installed'"}},
		{"all forms", `import one, {two as zwei, "two" as due} from './own.mjs'; import * as own from './own.mjs'; import 'pack';
[one, zwei, due, own.two]`, want{Main: "[ 1, 2, 2, 2 ]"}},
		{"a name and the whole", "import uno, * as whole from './own.mjs'; [uno, whole.two]", want{Main: "[ 1, 2 ]"}},
		{"attributes", "import data from './data.json' with {type: 'json'}; data.n", want{Main: "3"}},
		{"expression", "const load = async (name) => (await import(name)).default; load('./own.mjs')", want{Main: "1"}},
		{"missing", "import 'missing'", want{Error: "Error: Cannot find package 'missing' imported from /home/user/[cell]"}},
		{"directory changes", "process.chdir('sub')", want{}},
		{"import follows", "import moved from './own.mjs'; moved", want{Main: "'sub'"}},
		{"require follows", "require.resolve('../data.json')", want{Main: "'/home/user/data.json'"}},
		{"names follow", "[__dirname, process.cwd()]", want{Main: "[ '/home/user/sub', '/home/user/sub' ]"}},
	}.Play(t, c)
}

func TestTypeScript(t *testing.T) {
	cells{
		{"types", "interface P { n: number }\nconst p: P = { n: 1 }\np.n as number", want{Main: "1"}},
		{"enum", "enum Color { Red, Green = 5 }; Color.Green", want{Main: "5"}},
		{"enum again", "enum Color { Blue = 7 }; Color.Blue", want{Main: "7"}},
		{"parameter property", "class A { constructor(private x: number) {} get() { return this.x } }; new A(3).get()", want{Main: "3"}},
		{"namespace", "namespace N { export const a = 1 }; N.a", want{Main: "1"}},
		{"generics", "const id = <T,>(x: T): T => x; await id<Promise<string>>(Promise.resolve('t'))", want{Main: "'t'"}},
		{"import of types", "import type { Stats } from 'fs'; import { type Dirent, existsSync } from 'fs'; existsSync('/')", want{Main: "true"}},
		{"export", "export interface X { a: 1 }\nexport const exported: X = { a: 1 }\nexported.a", want{Main: "1"}},
		{"syntax", "let x: number = ;", want{Error: "SyntaxError: Expression expected"}},
		{"JavaScript", "[1, 2].map((n) => n * 2)", want{Main: "[ 2, 4 ]"}},
	}.Play(t, boot(t, "ts"))
}

func TestErrorsSayWhere(t *testing.T) {
	traceback := func(language, code string) string { return boot(t, language).Do(code).Errors[0].Traceback }
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
	require.Equal(t, want{}, c.Do("process.removeAllListeners(); undefined").Want())
	r := c.Do(`setTimeout(() => { throw new Error('late') }); Promise.reject(new Error('unhandled'))
await new Promise(r => setTimeout(r, 50)); undefined`)
	require.Contains(t, r.Err, "Uncaught Error: unhandled\n    at cell-2.js:1:")
	require.Contains(t, r.Err, "Uncaught Error: late\n    at Timeout._onTimeout (cell-2.js:1:")
	require.NotContains(t, r.Err, "/opt/cubby")
	require.Equal(t, kernel.EndingOK, r.Done.Ending)
}

func TestResults(t *testing.T) {
	c := boot(t, "javascript")
	only := func(t *testing.T, code string) imagetest.Result {
		t.Helper()
		r := c.In(t).Do(code)
		require.Len(t, r.Results, 1, r.Want())
		return r.Results[0]
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
		t.Run(name, func(t *testing.T) { require.Equal(t, imagetest.Result{Data: data}, only(t, code)) })
	}
	t.Run("last expression", func(t *testing.T) {
		require.Equal(t, imagetest.Result{Main: true, Data: data}, only(t, "({[Symbol.for('Jupyter.display')]: () => ("+bundle+")})"))
	})
	t.Run("last expression, later", func(t *testing.T) {
		require.Equal(t, imagetest.Result{Main: true, Data: data}, only(t, "({[Symbol.for('Jupyter.display')]: async () => ("+bundle+")})"))
	})
	t.Run("no bundle", func(t *testing.T) {
		require.Equal(t, want{Error: "TypeError: what is displayed should be an object of MIME types, not 5"},
			c.In(t).Do("({[Symbol.for('Jupyter.display')]: () => 5})").Want())
	})
	t.Run("many", func(t *testing.T) {
		require.Len(t, c.In(t).Do("for (let i = 0; i < 5000; i++) display(i)").Results, 5000)
	})
	t.Run("large", func(t *testing.T) {
		require.Contains(t, only(t, "'x'.repeat(5e7)").Data["text/plain"], "... 49990000 more characters")
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
	c := world.Boot(t, orchestrator.CreateRequest{Language: "js", Cwd: "/home/user/a b/ü'\""})
	require.Equal(t, want{Out: "/home/user/a b/ü'\"\n"}, c.Do("console.log(process.cwd())").Want())
}

func TestVariablesOfAnExecution(t *testing.T) {
	c := boot(t, "javascript")
	show := "console.log(process.env.A, process.env.B)\n"
	ours := map[string]string{"A": "x", "B": "y"}
	require.Equal(t, "x y\nx y\n", c.DoWith(show+"require('child_process').execSync('echo $A $B', {stdio: 'inherit'})", ours).Out)
	require.Equal(t, "a undefined\n", c.Do(show).Out)
	require.Equal(t, want{Error: "Error: 1"}, c.DoWith("process.env.A = 'z'; delete process.env.B; throw 1", ours).Want())
	require.Equal(t, "a undefined\n", c.Do(show).Out)
	require.Equal(t, want{}, c.DoWith("process.env = {}; undefined", ours).Want())
	require.Equal(t, "a undefined\n", c.Do(show).Out)
}

func TestNpm(t *testing.T) {
	r := boot(t, "javascript").Do("require('child_process').execSync('npm install cubby-nothing', {stdio: 'inherit'})")
	require.Contains(t, r.Err, "hint: this context has no network")
	require.True(t, strings.HasPrefix(r.Errors[0].Value, "Command failed: npm install"), r.Errors[0].Value)
	require.Equal(t, want{Main: "'11.21.2\\n'"}, boot(t, "javascript").Do("require('child_process').execSync('npm --version').toString()").Want())
}

func TestImageHasNoSetuidPrograms(t *testing.T) {
	find := "require('child_process').spawnSync('find', ['/', '-xdev', '-type', 'f', '-perm', '/6000']).stdout.toString()"
	require.Equal(t, want{Main: "''"}, boot(t, "javascript").Do(find).Want())
}
