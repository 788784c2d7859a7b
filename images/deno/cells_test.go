//go:build integration

package deno

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
		{"value of the last expression", "const x: number = 1\nx + 1", want{main: "2"}},
		{"const again", "const x = [1, 2, 3]", want{}},
		{"state is kept", "x.length", want{main: "3"}},
		{"class again", "class A { n = 1 } class B {}", want{}},
		{"class once more", "class A { n = 2 } new A().n", want{main: "2"}},
		{"null is a result", "null", want{main: "null"}},
		{"numbers that JSON lacks", "[NaN, -0, 2n]", want{main: "[ NaN, -0, 2n ]"}},
		{"such a number alone", "-0", want{main: "-0"}},
		{"big integer alone", "2n ** 70n", want{main: "1180591620717411303424n"}},
		{"object without colours", "({ a: { b: 'c' } })", want{main: `{ a: { b: "c" } }`}},
		{"value of a statement", "if (true) { 'yes' }", want{main: `"yes"`}},
		{"promise is awaited", "Promise.resolve('kept')", want{main: `"kept"`}},
		{"promise that is rejected", "Promise.reject(new RangeError('no'))", want{error: "RangeError: no"}},
		{"await", "const later = await new Promise(r => setTimeout(r, 10, 'slept')); later", want{main: `"slept"`}},
		{"for await", "for await (const n of (async function* () { yield 1; yield 2 })()) console.log(n)", want{out: "1\n2\n"}},
		{"thrown text", "throw 'text'", want{error: `Error: "text"`}},
		{"thrown nothing", "throw undefined", want{error: "Error: undefined"}},
		{"error with a name of its own", "class Mine extends Error { override name = 'Mine' } throw new Mine('m')", want{error: "Mine: m"}},
		{
			"error that cannot be shown", "throw Object.defineProperty(new Error('m'), 'message', { get() { throw 1 } })",
			want{error: "Error: an error that cannot be shown"},
		},
		{"declared twice", "let z = 1; let z = 2", want{error: "SyntaxError: Identifier 'z' has already been declared"}},
		{"value that cannot be shown", "({ [Symbol.for('Deno.customInspect')]() { throw new Error('no') } })", want{error: "Error: no"}},
		{"3 MB of code", "'" + strings.Repeat("x", 3<<20) + "'.length", want{main: "3145728"}},
		{"line ends of Windows", "let w = 4\r\nw\r\n", want{main: "4"}},
	}.play(t, boot(t))
}

func TestTypeScript(t *testing.T) {
	cells{
		{"types alone", "interface I { a: number } type T = string; declare const d: number;", want{}},
		{"annotations", "const f = <T,>(x: T, y?: number): T => x as T; f<number>(1) satisfies number", want{main: "1"}},
		{"enum", "enum Color { Red = 3, Blue }; Color.Blue", want{main: "4"}},
		{"enum in the next cell", "Color[3]", want{main: `"Red"`}},
		{"namespace", "namespace N { export const a = 1 } N.a", want{main: "1"}},
		{"parameter property", "class P { constructor(private x: number) {} get() { return this.x } } new P(5).get()", want{main: "5"}},
	}.play(t, boot(t))
}

func TestModules(t *testing.T) {
	cells{
		{"a file of types and values", `Deno.writeTextFileSync("m.ts", "export const foo: string = 'FOO'; export default 5; export type Bar = number")`, want{}},
		{"names", `import five, { foo as f, type Bar } from "./m.ts"; const b: Bar = 1; [five, f]`, want{main: `[ 5, "FOO" ]`}},
		{"in the next cell", `f`, want{main: `"FOO"`}},
		{"over several lines", "import {\n  foo, // a name\n} from './m.ts';\nfoo", want{main: `"FOO"`}},
		{"namespace", `import * as ns from "./m.ts"; ns.default`, want{main: "5"}},
		{"default and namespace", `import d, * as n from "./m.ts"; [d, n.foo]`, want{main: `[ 5, "FOO" ]`}},
		{"types alone", `import type { Bar } from "./gone.ts"; 1`, want{main: "1"}},
		{"for what it does", `Deno.writeTextFileSync("side.ts", "console.log('side')"); import "./side.ts";`, want{out: "side\n"}},
		{"of JSON", `Deno.writeTextFileSync("j.json", '{"a":1}'); import j from "./j.json" with { type: "json" }; j.a`, want{main: "1"}},
		{"Node's", `import { join } from "node:path"; join("a", "b")`, want{main: `"a/b"`}},
		{"dynamic", `(await import("./m.ts")).foo`, want{main: `"FOO"`}},
		{"from another directory", `Deno.mkdirSync("sub"); Deno.chdir("sub"); (await import("../m.ts")).foo`, want{main: `"FOO"`}},
		{"the word in a text", `'import { a } from "./gone.ts"'.length`, want{main: "29"}},
		{"exports", "export const e = 1; export default function g() { return e + 1 }\nexport { e as other }; g()", want{main: "2"}},
		{"exports of types and enums", "export interface I { a: I } export type T = I; export enum E { A = 3 } export abstract class C {}\nE.A", want{main: "3"}},
		{"default export of a value", "export default { a: 1 }", want{main: "{ a: 1 }"}},
		{"default export of a class", "export default class D {}; new D()", want{main: "D {}"}},
		{
			"import.meta", "[import.meta.main, import.meta.dirname, import.meta.resolve('./x.ts')]",
			want{main: `[ true, "/home/user/sub", "file:///home/user/sub/x.ts" ]`},
		},
	}.play(t, boot(t))
}

func TestModulesWithoutNetworkFailWithAHint(t *testing.T) {
	c := boot(t)
	for _, specifier := range []string{"npm:chalk@5", "jsr:@std/path", "https://example.com/mod.ts"} {
		r := c.do(`import * as gone from "` + specifier + `"`)
		require.Equal(t, "TypeError", r.errors[0].Name)
		require.Contains(t, r.err, "hint: this context has no network")
	}
	require.Empty(t, c.do(`import "./gone.ts"`).err)
}

func TestErrorsSayWhere(t *testing.T) {
	c := boot(t)
	for _, e := range []struct{ name, code, traceback string }{
		{"first line", "throw new TypeError('t')", "TypeError: t\n    at <anonymous>:1:7"},
		{
			"another line", "const a = 1;\nfunction f() { throw new Error('deep', { cause: 1 }) }\nf()",
			"Error: deep\n    at f (<anonymous>:2:22)\n    at <anonymous>:3:1 {\n  [cause]: 1\n}",
		},
		{"an earlier cell", "f()", "Error: deep\n    at f (<anonymous>:2:22)\n    at <anonymous>:1:1 {\n  [cause]: 1\n}"},
		{"syntax", "const b =\n  = 2", "SyntaxError: Expression expected\n  |\n2 |   = 2\n  |   ~\n    at <anonymous>:2:3"},
		{"syntax that V8 refuses", "let z = 1; let z = 2", "SyntaxError: Identifier 'z' has already been declared\n    at <anonymous>:1:16"},
	} {
		t.Run(e.name, func(t *testing.T) {
			require.Equal(t, e.traceback, c.do(e.code).errors[0].Traceback)
		})
	}
}

func TestDisplay(t *testing.T) {
	const png = "iVBORw0KGgo="
	c := boot(t)
	for _, d := range []struct {
		name, code string
		main       bool
		mime, text string
	}{
		{"symbol", `({ [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "p", "text/html": "<b>" }) })`, true, "text/html", "<b>"},
		{"promise of a bundle", `({ [Symbol.for("Jupyter.display")]: async () => ({ "text/html": "<i>" }) })`, true, "text/html", "<i>"},
		{"tag", "Deno.jupyter.md`# ${1 + 1}`", true, "text/markdown", "# 2"},
		{"displayed", "await Deno.jupyter.display(Deno.jupyter.svg`<svg/>`)", false, "image/svg+xml", "<svg/>"},
		{"displayed value", "await Deno.jupyter.display([1])", false, "text/plain", "[ 1 ]"},
		{"bundle", `await Deno.jupyter.display({ "application/json": [1] }, { raw: true })`, false, "application/json", "[1]"},
		{"picture", "Deno.jupyter.image(Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]))", true, "image/png", png},
		{"canvas", `({ toDataURL: () => "data:image/png;base64,` + png + `" })`, true, "image/png", png},
		{"element", `({ outerHTML: "<p>", tagName: "P" })`, true, "text/html", "<p>"},
	} {
		t.Run(d.name, func(t *testing.T) {
			c.t = t
			r := c.do(d.code)
			require.Len(t, r.results, 1)
			require.Equal(t, d.main, r.results[0].Main)
			require.Equal(t, d.text, r.text(r.results[0], d.mime))
			require.Contains(t, r.results[0].Data, "text/plain")
		})
	}
}

func TestErrorsThatNobodyCaughtDoNotEndTheKernel(t *testing.T) {
	c := boot(t)
	r := c.do("Promise.reject(new Error('nobody')); 5")
	require.Equal(t, want{main: "5", err: "Uncaught (in promise) Error: nobody\n    at <anonymous>:1:16\n"}, r.want())
	r = c.do("setTimeout(() => { throw new Error('later') }); await new Promise(r => setTimeout(r, 100)); 6")
	require.Equal(t, "6", r.want().main)
	require.Equal(t, "Uncaught Error: later\n    at <anonymous>:1:26\n", r.err)
}

func TestExit(t *testing.T) {
	for _, e := range []struct{ code, says string }{
		{"Deno.exit()", "exit status 0"},
		{"Deno.exitCode = 4; Deno.exit()", "exit status 4"},
		{"process.on('exit', () => console.log('bye')); process.exit(5)", "exit status 5"},
		{"addEventListener('unload', () => console.log('bye')); Deno.exit(6)", "exit status 6"},
	} {
		t.Run(e.code, func(t *testing.T) {
			r := boot(t).do(e.code)
			require.Equal(t, kernel.EndingCrashed, r.done.Ending)
			require.Contains(t, r.done.Value, e.says)
			require.Equal(t, strings.Contains(e.code, "bye"), r.out == "bye\n")
		})
	}
}

func TestWorkingDirectory(t *testing.T) {
	for cwd, says := range map[string]string{
		"/nowhere": "no such directory: /nowhere", "/etc/hostname": "not a directory: /etc/hostname",
	} {
		_, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "deno", Cwd: cwd})
		require.ErrorContains(t, err, says)
	}
}
