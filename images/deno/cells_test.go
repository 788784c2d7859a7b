//go:build integration

package deno

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestWhatCannotBeShownIsThrown(t *testing.T) {
	c := boot(t)
	for name, thrown := range map[string]string{
		"a revoked proxy":              "(() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy })()",
		"an error without a prototype": "new Proxy(new Error('x'), { getPrototypeOf() { throw 2 } })",
		"one that inherits":            "Object.create(new Proxy({}, { getPrototypeOf() { throw 1 } }))",
	} {
		for _, code := range []string{"throw " + thrown, "await Promise.reject(" + thrown + ")"} {
			t.Run(name, func(t *testing.T) {
				c := c.In(t)
				r := c.DoWithin(code, 10*time.Second)
				require.Equal(t, kernel.EndingError, r.Done.Ending, r.Done.Value)
				require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
			})
		}
	}
}

func TestCells(t *testing.T) {
	cells{
		{"value of the last expression", "const x: number = 1\nx + 1", want{Main: "2"}},
		{"const again", "const x = [1, 2, 3]", want{}},
		{"state is kept", "x.length", want{Main: "3"}},
		{"class again", "class A { n = 1 } class B {}", want{}},
		{"class once more", "class A { n = 2 } new A().n", want{Main: "2"}},
		{"null is a result", "null", want{Main: "null"}},
		{"numbers that JSON lacks", "[NaN, -0, 2n]", want{Main: "[ NaN, -0, 2n ]"}},
		{"such a number alone", "-0", want{Main: "-0"}},
		{"big integer alone", "2n ** 70n", want{Main: "1180591620717411303424n"}},
		{"object without colours", "({ a: { b: 'c' } })", want{Main: `{ a: { b: "c" } }`}},
		{"value of a statement", "if (true) { 'yes' }", want{Main: `"yes"`}},
		{"promise is awaited", "Promise.resolve('kept')", want{Main: `"kept"`}},
		{"promise that is rejected", "Promise.reject(new RangeError('no'))", want{Error: "RangeError: no"}},
		{"await", "const later = await new Promise(r => setTimeout(r, 10, 'slept')); later", want{Main: `"slept"`}},
		{"for await", "for await (const n of (async function* () { yield 1; yield 2 })()) console.log(n)", want{Out: "1\n2\n"}},
		{"thrown text", "throw 'text'", want{Error: `Error: "text"`}},
		{"thrown nothing", "throw undefined", want{Error: "Error: undefined"}},
		{"error with a name of its own", "class Mine extends Error { override name = 'Mine' } throw new Mine('m')", want{Error: "Mine: m"}},
		{
			"error that cannot be shown", "throw Object.defineProperty(new Error('m'), 'message', { get() { throw 1 } })",
			want{Error: "Error: an error that cannot be shown"},
		},
		{"declared twice", "let z = 1; let z = 2", want{Error: "SyntaxError: Identifier 'z' has already been declared"}},
		{"value that cannot be shown", "({ [Symbol.for('Deno.customInspect')]() { throw new Error('no') } })", want{Error: "Error: no"}},
		{"3 MB of code", "'" + strings.Repeat("x", 3<<20) + "'.length", want{Main: "3145728"}},
		{"no directory of somebody else's", "Deno.env.get('PWD')", want{}},
		{"a script's first line", "#!/usr/bin/env -S deno run\n5", want{Main: "5"}},
		{"text of several lines", "'a long line\\n'.repeat(9)", want{Main: `"` + strings.Repeat(`a long line\n`, 9) + `"`}},
		{"line ends of Windows", "let w = 4\r\nw\r\n", want{Main: "4"}},
		{"error beside a class of that name", "class Error {} throw new TypeError('t')", want{Error: "TypeError: t"}},
	}.Play(t, boot(t))
}

func TestTypeScript(t *testing.T) {
	cells{
		{"types alone", "interface I { a: number } type T = string; declare const d: number;", want{}},
		{"annotations", "const f = <T,>(x: T, y?: number): T => x as T; f<number>(1) satisfies number", want{Main: "1"}},
		{"enum", "enum Color { Red = 3, Blue }; Color.Blue", want{Main: "4"}},
		{"enum in the next cell", "Color[3]", want{Main: `"Red"`}},
		{"namespace", "namespace N { export const a = 1 } N.a", want{Main: "1"}},
		{"parameter property", "class P { constructor(private x: number) {} get() { return this.x } } new P(5).get()", want{Main: "5"}},
	}.Play(t, boot(t))
}

func TestModules(t *testing.T) {
	cells{
		{"a file of types and values", `Deno.writeTextFileSync("m.ts", "export const foo: string = 'FOO'; export default 5; export type Bar = number")`, want{}},
		{"names", `import five, { foo as f, type Bar } from "./m.ts"; const b: Bar = 1; [five, f]`, want{Main: `[ 5, "FOO" ]`}},
		{"in the next cell", `f`, want{Main: `"FOO"`}},
		{"over several lines", "import {\n  foo, // a name\n} from './m.ts';\nfoo", want{Main: `"FOO"`}},
		{"namespace", `import * as ns from "./m.ts"; ns.default`, want{Main: "5"}},
		{"default and namespace", `import d, * as n from "./m.ts"; [d, n.foo]`, want{Main: `[ 5, "FOO" ]`}},
		{"types alone", `import type { Bar } from "./gone.ts"; 1`, want{Main: "1"}},
		{"for what it does", `Deno.writeTextFileSync("side.ts", "console.log('side')"); import "./side.ts";`, want{Out: "side\n"}},
		{"of JSON", `Deno.writeTextFileSync("j.json", '{"a":1}'); import j from "./j.json" with { type: "json" }; j.a`, want{Main: "1"}},
		{"Node's", `import { join } from "node:path"; join("a", "b")`, want{Main: `"a/b"`}},
		{"dynamic", `(await import("./m.ts")).foo`, want{Main: `"FOO"`}},
		{"from another directory", `Deno.mkdirSync("sub"); Deno.chdir("sub"); (await import("../m.ts")).foo`, want{Main: `"FOO"`}},
		{"the word in a text", `'import { a } from "./gone.ts"'.length`, want{Main: "29"}},
		{"exports", "export const e = 1; export default function g() { return e + 1 }\nexport { e as other }; g()", want{Main: "2"}},
		{"exports of types and enums", "export interface I { a: I } export type T = I; export enum E { A = 3 } export abstract class C {}\nE.A", want{Main: "3"}},
		{"default export of a value", "export default { a: 1 }", want{Main: "{ a: 1 }"}},
		{"default export of a class", "export default class D {}; new D()", want{Main: "D {}"}},
		{
			"import.meta", "[import.meta.main, import.meta.dirname, import.meta.resolve('./x.ts')]",
			want{Main: `[ true, "/home/user/sub", "file:///home/user/sub/x.ts" ]`},
		},
	}.Play(t, boot(t))
}

func TestModulesWithoutNetworkFailWithAHint(t *testing.T) {
	c := boot(t)
	for _, specifier := range []string{"npm:chalk@5", "jsr:@std/path", "https://example.com/mod.ts"} {
		r := c.Do(`import * as gone from "` + specifier + `"`)
		require.Equal(t, "TypeError", r.Errors[0].Name)
		require.Contains(t, r.Err, "hint: this context has no network")
	}
	require.Empty(t, c.Do(`import "./gone.ts"`).Err)
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
			require.Equal(t, e.traceback, c.In(t).Do(e.code).Errors[0].Traceback)
		})
	}
}

func TestDisplay(t *testing.T) {
	const png = "iVBORw0KGgo="
	c := boot(t)
	for _, d := range []struct {
		name, code string
		main       bool
		mime       string
		data       any
	}{
		{"symbol", `({ [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "p", "text/html": "<b>" }) })`, true, "text/html", "<b>"},
		{"promise of a bundle", `({ [Symbol.for("Jupyter.display")]: async () => ({ "text/html": "<i>" }) })`, true, "text/html", "<i>"},
		{"tag", "Deno.jupyter.md`# ${1 + 1}`", true, "text/markdown", "# 2"},
		{"displayed", "await Deno.jupyter.display(Deno.jupyter.svg`<svg/>`)", false, "image/svg+xml", "<svg/>"},
		{"displayed value", "await Deno.jupyter.display([1])", false, "text/plain", "[ 1 ]"},
		{"bundle", `await Deno.jupyter.display({ "application/json": [1] }, { raw: true })`, false, "application/json", []any{json.Number("1")}},
		{"picture", "Deno.jupyter.image(Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]))", true, "image/png", png},
		{"canvas", `({ toDataURL: () => "data:image/png;base64,` + png + `" })`, true, "image/png", png},
		{"element", `({ outerHTML: "<p>", tagName: "P" })`, true, "text/html", "<p>"},
	} {
		t.Run(d.name, func(t *testing.T) {
			r := c.In(t).Do(d.code)
			require.Len(t, r.Results, 1)
			require.Equal(t, d.main, r.Results[0].Main)
			require.Equal(t, d.data, r.Results[0].Data[d.mime])
			require.Contains(t, r.Results[0].Data, "text/plain")
		})
	}
}

func TestErrorsThatNobodyCaughtDoNotEndTheKernel(t *testing.T) {
	c := boot(t)
	r := c.Do("Promise.reject(new Error('nobody')); 5")
	require.Equal(t, want{Main: "5", Err: "Uncaught (in promise) Error: nobody\n    at <anonymous>:1:16\n"}, r.Want())
	r = c.Do("setTimeout(() => { throw new Error('later') }); await new Promise(r => setTimeout(r, 100)); 6")
	require.Equal(t, "6", r.Want().Main)
	require.Equal(t, "Uncaught Error: later\n    at <anonymous>:1:26\n", r.Err)
}

func TestExit(t *testing.T) {
	for _, e := range []struct{ code, says string }{
		{"Deno.exit()", "exit status 0"},
		{"Deno.exitCode = 4; Deno.exit()", "exit status 4"},
		{"process.on('exit', () => console.log('bye')); process.exit(5)", "exit status 5"},
		{"addEventListener('unload', () => console.log('bye')); Deno.exit(6)", "exit status 6"},
	} {
		t.Run(e.code, func(t *testing.T) {
			r := boot(t).Do(e.code)
			require.Equal(t, kernel.EndingCrashed, r.Done.Ending)
			require.Contains(t, r.Done.Value, e.says)
			require.Equal(t, strings.Contains(e.code, "bye"), r.Out == "bye\n")
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
