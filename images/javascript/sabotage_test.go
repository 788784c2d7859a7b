//go:build integration

package javascript

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator/kernel"
)

// User code may break what is its own process, but the next execution runs.
func TestSabotageIsSurvived(t *testing.T) {
	for _, s := range []struct{ name, code string }{
		{"1 and 2 closed", "require('fs').closeSync(1); require('fs').closeSync(2)"},
		{"0 closed", "require('fs').closeSync(0)"},
		{"console.log replaced", "console.log = () => { throw 1 }; console.error = null"},
		{"console replaced", "globalThis.console = null"},
		{"streams' methods replaced", "process.stdout.write = null; process.stdout._write = null; process.stderr.write = () => {}"},
		{"streams replaced", "Object.defineProperty(process, 'stdout', {value: null, configurable: true}); delete process.stderr"},
		{"streams ended", "process.stdout.end('x'); process.stderr.destroy(new Error('gone'))"},
		{"toJSON for everything", "Object.prototype.toJSON = () => 'pwn'; Array.prototype.toJSON = String.prototype.toJSON = Object.prototype.toJSON"},
		{"no JSON", "globalThis.JSON = null"},
		{"no methods of JSON", "JSON.stringify = JSON.parse = null"},
		{"no push", "Array.prototype.push = null"},
		{"no iteration", "Array.prototype[Symbol.iterator] = null"},
		{"no methods of maps", "Map.prototype.get = Map.prototype.set = Map.prototype.delete = Map.prototype.has = WeakMap.prototype.get = null"},
		{"no then", "Promise.prototype.then = Promise.prototype.finally = null; Promise.resolve = null"},
		{"no regular expressions", "RegExp.prototype.exec = RegExp.prototype.test = null; RegExp.prototype[Symbol.replace] = null"},
		{"no methods of buffers", "for (const name of Object.getOwnPropertyNames(Buffer.prototype)) Buffer.prototype[name] = null; Buffer.from = Buffer.alloc = null"},
		{"no methods of bytes", "Uint8Array.prototype.__proto__.subarray = null; TextEncoder.prototype.encode = null"},
		{"no targets", "EventTarget.prototype.dispatchEvent = EventTarget.prototype.addEventListener = null"},
		{"no ports", "const {MessagePort} = require('worker_threads'); MessagePort.prototype.postMessage = MessagePort.prototype.emit = null"},
		{"no fs", "const f = require('fs'); f.writeSync = f.closeSync = f.mkdirSync = null"},
		{"no inspector", "require('inspector').Session.prototype.post = null"},
		{"no timers", "globalThis.setTimeout = globalThis.setImmediate = globalThis.queueMicrotask = process.nextTick = null"},
		{"no Atomics", "Atomics.compareExchange = Atomics.store = Atomics.wait = Atomics.notify = null"},
		{"no names of the driver's", "delete globalThis.require; delete globalThis.$import; delete globalThis.display"},
		{"listeners removed", "process.removeAllListeners()"},
		{"signals ignored", "process.on('SIGPIPE', () => {}); process.removeAllListeners('SIGPIPE')"},
		{"handles unreferenced", "for (const handle of process._getActiveHandles()) handle.unref?.()"},
		{"another directory and no environment", "process.chdir('/'); process.env = {}; for (const name in process.env) delete process.env[name]"},
		{"every descriptor used", "const used = []; try { for (;;) used.push(require('fs').openSync('/dev/null')) } catch {}"},
		{"endless recursion", "(function f() { f() })()"},
		{"nested parentheses", "eval('('.repeat(1e6))"},
		{"NUL in code", "x\x00y"},
		{"byte order mark", "\ufeff1"},
		{"open template", "`"},
		{"inspection of 50 MB", "({[Symbol.for('nodejs.util.inspect.custom')]: () => 'x'.repeat(5e7)})"},
		{"own stacks", "Error.prepareStackTrace = () => { throw 1 }; new Error().stack"},
		{"3 MB of code", "x = '" + strings.Repeat("x", 3<<20) + "'; undefined"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := boot(t, "javascript")
			r := c.Do(s.code)
			require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
			require.Equal(t, want{Main: "2", Out: "p\n", Err: "e\n"}, c.Do("console.log('p'); console.error('e'); 1 + 1").Want())
			require.Equal(t, "ReferenceError", c.Do("undefinedName").Errors[0].Name)
		})
	}
}

// What cannot be survived ends the kernel, and at once: it never hangs.
func TestSabotageThatKillsTheKernel(t *testing.T) {
	for _, s := range []struct{ name, code, says string }{
		{"exit", "process.exit(3)", "exit status 3"},
		{"exit in a listener", "process.on('exit', () => { process.exitCode = 4 }); process.exit()", "exit status 4"},
		{"reallyExit", "process.reallyExit(5)", "exit status 5"},
		{"abort", "process.abort()", "signal: aborted"},
		{"killed", "process.kill(process.pid, 'SIGKILL'); for (;;);", "signal: killed"},
		{"the channel closed", "require('fs').closeSync(3); await new Promise(() => {})", "kernel closed its channel"},
		{"a toJSON for good", "Object.defineProperty(Object.prototype, 'toJSON', {value: () => 'pwn'})", "for good"},
		{"heap full", "const a = []; for (;;) a.push({})", "signal: aborted"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := boot(t, "javascript")
			r := c.Do(s.code)
			require.Equal(t, kernel.EndingCrashed, r.Done.Ending)
			require.Contains(t, r.Done.Value, s.says)
			if s.name == "heap full" {
				require.Contains(t, r.Err, "JavaScript heap out of memory")
			}
			require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
		})
	}
	t.Run("memory full", func(t *testing.T) {
		r := boot(t, "javascript").Do("const a = []; for (;;) a.push(Buffer.alloc(1e7, 1))")
		require.Equal(t, kernel.EndingOOM, r.Done.Ending)
	})
}

func TestSabotageOfEverythingEnds(t *testing.T) {
	null := imagetest.NullProperties
	imagetest.PlaySabotage(t, func(t *testing.T) *imagetest.Context { t.Helper(); return boot(t, "javascript") },
		imagetest.JavaScriptSabotage(), map[string]string{
			"functions":           null("Function.prototype"),
			"promises":            null("Promise.prototype"),
			"async local storage": null("require('async_hooks').AsyncLocalStorage.prototype"),
			"emitters":            null("require('events').EventEmitter.prototype"),
			"sessions":            null("require('inspector').Session.prototype"),
			"workers":             null("require('worker_threads').Worker.prototype"),
			"streams":             null("require('stream').Writable.prototype"),
			"the process":         null("process"),
			"call":                "Function.prototype.call = null",
			"then for everything": "Object.prototype.then = (resolve) => resolve('pwn')",
		})
}

// What lies in a workspace cannot keep the kernel of a restarted context from booting.
func TestBootsWhateverTheWorkspaceHolds(t *testing.T) {
	c := boot(t, "javascript")
	r := c.Do(`const fs = require('fs')
for (const name of ['acorn', 'koffi', 'fs', 'driver_kernel']) {
  fs.mkdirSync('node_modules/' + name, {recursive: true}); fs.writeFileSync('node_modules/' + name + '/index.js', 'process.exit(1)')
}
fs.writeFileSync('package.json', '{broken'); fs.writeFileSync('.npmrc', 'broken'); process.exit(0)`)
	require.Contains(t, r.Done.Value, "exit status 0")
	require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
}
