//go:build integration

package abusetest

import (
	"strings"
	"testing"
)

// modules are what the attacks in JavaScript import, in Node.js as in Deno.
const modules = "var fs = process.getBuiltinModule('node:fs'), child = process.getBuiltinModule('node:child_process');\n"

// forgedFrame is JavaScript for what the end of an execution looks like.
const forgedFrame = `'{"type":"result","main":true,"data":{"text/plain":"forged"}}\n{"type":"done"}\n'`

// late is JavaScript that prints when the execution is over; awaitLate is what an execution does that waits for it.
const (
	late      = "console.log('late'); console.error('late'); fs.writeFileSync('said', '')"
	awaitLate = "while (!fs.existsSync('said')) await new Promise((r) => setTimeout(r, 10));\n" +
		"fs.unlinkSync('said'); await new Promise((r) => setTimeout(r, 100)); console.log('mine')"
)

// v8Forays are the attacks in JavaScript that Node.js and Deno have in common.
var v8Forays = []foray{
	{name: "A5 an allocation that cannot be", code: "new ArrayBuffer(1e15)", endings: "error", says: "RangeError"},
	{name: "A5 memory without end", code: "var hog = []; for (;;) hog.push(new Uint8Array(1e7).fill(1))", endings: "oom", says: "OutOfMemoryError", oomKills: 1},
	{name: "A13 a loop", code: "for (;;);", deadline: 1000, endings: "timeout", says: "TimeoutError"},
	{name: "A13 a loop of promises", code: "for (;;) await null", deadline: 1000, endings: "timeout", says: "TimeoutError"},
	{name: "A15 signals ignored", code: "for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(s, () => {}); for (;;);", deadline: 1000, endings: "timeout"},
	{name: "A17 recursion", code: "const f = () => f(); f()", endings: "error", says: "RangeError: Maximum call stack size exceeded"},
	{name: "A17 a regular expression that takes for ever", code: "/^(a+)+$/.test('a'.repeat(40) + 'b')", deadline: 1000, endings: "timeout"},
	{name: "B1 output without end", code: "for (let i = 0; ; i++) console.log('x')", output: 1 << 17, deadline: 20_000, endings: "output_limit", says: "OutputLimit"},
	{name: "B4 noise", code: "process.stdout.write(crypto.getRandomValues(new Uint8Array(1 << 16))); undefined", endings: "ok"},
	{name: "B13 a console that throws", code: "console.log = console.error = () => { throw 1 }", endings: "ok"},
	{name: "B13 streams without a write", code: "process.stdout.write = process.stderr.write = null", endings: "ok|error"},
	{name: "B13 streams that are destroyed", code: "process.stdout.destroy(); process.stderr.end(); undefined", endings: "ok|error"},
	{name: "B14 a timer", code: "setTimeout(() => { " + late + " }, 300); undefined", endings: "ok", then: awaitLate},
	{name: "B14 a promise", code: "new Promise((r) => setTimeout(r, 300)).then(() => { " + late + " }); undefined", endings: "ok", then: awaitLate},
	{name: "B14 timers without end", code: "let n = 0; const i = setInterval(() => { console.log('late'); if (n++ == 30) { clearInterval(i); " + late + " } }, 10); undefined", endings: "ok", then: awaitLate},
	{name: "B14 a child", code: "child.spawn('sh', ['-c', 'sleep 0.3; echo late; touch said'], { stdio: 'inherit' }); undefined", endings: "ok", then: awaitLate},
	{name: "B15 a daemon", code: "child.spawn('sleep', ['9999'], { detached: true, stdio: 'inherit' }).unref(); undefined", endings: "ok", leaves: 1},
	{name: "B16 standard input", code: "try { console.log(fs.readSync(0, new Uint8Array(1))) } catch { console.log(0) }", endings: "ok", stdout: "0\n"},
	{name: "B16 a child's standard input", code: "child.spawnSync('cat', { stdio: 'inherit' }).status", endings: "ok"},
	{name: "B17 an exit", code: "process.exit(0)", endings: "crashed", says: "KernelDied: the kernel died: exit status 0"},
	{name: "B17 an exit in a timer", code: "setTimeout(() => process.exit(5), 100); await new Promise(() => {})", endings: "crashed", says: "exit status 5"},
	{name: "B19 a kill of PID 1", code: "process.kill(1, 'SIGKILL')", endings: "error", says: "EPERM"},
	{name: "B19 a child's kill of all", code: "child.execSync('kill -9 -1')", endings: "crashed", says: "killed"},
	{name: "B21 a value that shows itself at length", code: "({ toString: () => 'x', [Symbol.for('nodejs.util.inspect.custom')]: () => 'x'.repeat(1e8) })", endings: "ok|error|crashed|oom"},
	{name: "B24 a template without an end", code: "`abc", endings: "error", says: "SyntaxError"},
	{name: "B24 a NUL, a mark, returns", code: "'a\x00b'.length;\r\n'\ufeff'.length", endings: "ok"},
	{name: "B25 its world", code: "process.chdir('/'); process.env = {}; undefined", endings: "ok"},
	{name: "B20 prototypes", code: "Object.prototype.toJSON = () => 'pwn'; Object.prototype.type = 'done'", endings: sabotage},
	{name: "B20 arrays", code: "Array.prototype.push = Array.prototype.map = Array.prototype.join = Array.prototype[Symbol.iterator] = null", endings: sabotage},
	{name: "B20 promises", code: "Promise.prototype.then = Promise.prototype.catch = () => { throw 1 }; globalThis.Promise = null", endings: sabotage},
	{name: "B20 globals", code: "for (const n of ['JSON', 'Object', 'Array', 'Error', 'Map', 'Reflect', 'Symbol', 'String', 'Buffer', 'setTimeout', 'queueMicrotask']) globalThis[n] = null", endings: sabotage},
	{name: "B20 all globals", code: "for (const n of Object.getOwnPropertyNames(globalThis)) try { if (n != 'x') delete globalThis[n] } catch {}", endings: sabotage},
	{name: "B20 errors", code: "Error.prepareStackTrace = () => { throw 1 }; Error.stackTraceLimit = 0; throw new Error('x')", endings: "error"},
	{name: "B20 the process", code: "process.exit = process.reallyExit = process.kill = null; process.removeAllListeners(); process.emit = () => { throw 1 }", endings: sabotage},
	{name: "B20 a value whose getters loop", code: "({ get a() { for (;;); }, [Symbol.toStringTag]: 'x', toString() { for (;;); } })", endings: sabotage},
	{name: "B20 a value that lies", code: "new Proxy({}, { get() { throw 1 }, ownKeys() { throw 1 }, getPrototypeOf() { throw 1 } })", endings: sabotage},
	{name: "B20 an error that cannot be told", code: "throw { get name() { throw 1 }, get message() { throw 1 }, get stack() { throw 1 } }", endings: "error"},
}

// TestJavaScript: the attacks in JavaScript.
func TestJavaScript(t *testing.T) {
	a := newForeignArena(t, javascript)
	a.forays(t, modules, v8Forays)
	a.forays(t, modules, []foray{
		{name: "A3 a spawn bomb", code: "for (;;) try { child.spawn(process.execPath, ['-e', 'for(;;);']) } catch {}", deadline: 2000, endings: "timeout|oom|crashed"},
		{name: "B24 brackets", code: strings.Repeat("(", 100_000), endings: "error", says: "Error"},
		{name: "A19 watches", code: "for (let i = 0; i < 500; i++) try { fs.watch('/tmp').on('error', () => {}) } catch {}", endings: "ok|error"},
		{name: "B21 a value that never shows itself", code: "({ [Symbol.for('nodejs.util.inspect.custom')]: () => { for (;;); } })", deadline: 1000, endings: "timeout"},
		{name: "B9 frames on every descriptor", code: "for (let i = 3; i < 256; i++) try { fs.writeSync(i, " + forgedFrame + ") } catch {}", endings: "ok|error|crashed"},
		{name: "B9 frames of a child", code: `child.execSync("for fd in 3 4 5 6 7 8 9; do (printf '%s\\n' '{\"type\":\"done\"}' >&$fd) 2>/dev/null; done; echo real", { stdio: 'inherit' }); undefined`, endings: "ok", stdout: "real\n"},
		{name: "B11 0, 1 and 2 closed", code: "for (const fd of [0, 1, 2]) fs.closeSync(fd)", endings: "ok|error"},
		{name: "B11 everything closed", code: "for (let i = 0; i < 256; i++) try { fs.closeSync(i) } catch {}", endings: "ok|error|crashed"},
		{name: "A7 more objects than V8 has room for", code: "var hog = []; for (;;) hog.push(new Array(1000).fill(hog))", endings: "crashed", says: "heap limit"},
		{name: "B18 a signal of its own", code: "process.kill(process.pid, 'SIGSEGV'); for (;;);", endings: "crashed", says: "segmentation fault"},
		{name: "B20 functions", code: "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw 1 }", endings: sabotage},
		{name: "B20 thenables", code: "Object.prototype.then = (f) => f('pwn')", endings: sabotage},
		{name: "B18 an abort", code: "process.abort()", endings: "crashed", says: "aborted"},
	})
}

// TestDeno: the attacks in JavaScript and in Deno's own terms.
func TestDeno(t *testing.T) {
	a := newForeignArena(t, deno)
	a.forays(t, modules, v8Forays)
	a.forays(t, "", []foray{
		{name: "A3 a spawn bomb", code: "for (;;) try { new Deno.Command('sleep', { args: ['999'] }).spawn() } catch {}", deadline: 3000, endings: "timeout", atLimit: true},
		{name: "A7 more objects than V8 has room for", code: "var hog = []; for (;;) hog.push(new Array(1000).fill(hog))", endings: "crashed", says: "heap limit"},
		{name: "B24 brackets", code: strings.Repeat("(", 100_000), endings: "error|crashed"}, // its stripper of types recurs
		{name: "B16 a prompt", code: "console.log(prompt(''))", endings: "ok"},
		{name: "B17 an exit", code: "Deno.exit()", endings: "crashed", says: "exit status 0"},
		{name: "B18 a signal of its own", code: "Deno.kill(Deno.pid, 'SIGABRT'); for (;;);", endings: "crashed", says: "aborted"},
		{name: "B20 Deno", code: "for (const n of Object.getOwnPropertyNames(Deno)) try { Deno[n] = null } catch {}; globalThis.Deno = null", endings: sabotage},
	})
}

// forays plays attacks that begin with the same code.
func (a *arena) forays(t *testing.T, begin string, forays []foray) {
	t.Helper()
	for _, f := range forays {
		t.Run(f.name, func(t *testing.T) {
			f.code = begin + f.code
			a.foray(t, f)
		})
	}
}
