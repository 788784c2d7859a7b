//go:build integration

package deno

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator/kernel"
)

// User code may break what is its own process, but the next execution runs.
func TestSabotageIsSurvived(t *testing.T) {
	for _, s := range []struct{ name, code string }{
		{"streams closed", "Deno.stdin.close(); Deno.stdout.close(); Deno.stderr.close()"},
		{"1 and 2 closed", "import fs from 'node:fs'; fs.closeSync(1); fs.closeSync(2)"},
		{"0 closed", "import fs from 'node:fs'; fs.closeSync(0)"},
		{"console replaced", "globalThis.console = null"},
		{"methods of the console replaced", "console.log = () => { throw 1 }; console.error = null"},
		{"streams replaced", "Deno.stdout.write = Deno.stdout.writeSync = process.stdout.write = process.stdout._write = null; Deno.stdout = null"},
		{"no Deno", "globalThis.Deno = null"},
		{"toJSON for everything", "Object.prototype.toJSON = () => 'pwn'; Array.prototype.toJSON = String.prototype.toJSON = Object.prototype.toJSON"},
		{"no methods of JSON", "JSON.stringify = JSON.parse = null; globalThis.JSON = null"},
		{"no methods of objects", "Object.keys = Object.defineProperty = Object.getOwnPropertyDescriptor = null; Reflect.deleteProperty = null"},
		{"no push", "Array.prototype.push = null"},
		{"no iteration", "Array.prototype[Symbol.iterator] = null"},
		{"no then", "Promise.prototype.then = Promise.prototype.finally = null; Promise.resolve = null"},
		{"no regular expressions", "RegExp.prototype.test = null"},
		{"no methods of bytes", "Object.getPrototypeOf(Uint8Array.prototype).subarray = null; TextEncoder.prototype.encode = null"},
		{"no listeners", "EventTarget.prototype.addEventListener = EventTarget.prototype.removeEventListener = null"},
		{"call replaced", "Function.prototype.call = null"},
		{"then for everything", "Object.prototype.then = (resolve) => resolve('pwn')"},
		{"then replaced", "Promise.prototype.then = () => new Promise(() => {})"},
		{"then that throws", "for (const o of [Object.prototype, Promise.prototype]) Object.defineProperty(o, 'then', { get() { throw 1 } })"},
		{"a promise of its own", "const Promise = 1"},
		{"species of promises", "Object.defineProperty(Promise, Symbol.species, { get() { throw 1 } })"},
		{"no bytes", "globalThis.Uint8Array = globalThis.TextDecoder = null"},
		{"what promises are", "Object.defineProperty(Promise, Symbol.hasInstance, { value() { throw 1 } })"},
		{"constructor of promises", "Object.defineProperty(Promise.prototype, 'constructor', { get() { throw 1 } })"},
		{"iterators that never end", "Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: false, value: 1 })"},
		{"accessors for what messages hold", "for (const n of ['async', 'value', 'message', 'transfer', 'done', 'next']) " +
			"Object.defineProperty(Object.prototype, n, { get() { throw 1 }, set() { throw 2 } })"},
		{"no ports", "MessagePort.prototype.postMessage = null; globalThis.MessagePort = globalThis.MessageChannel = null"},
		{"no sockets, no workers", "WebSocket.prototype.send = null; globalThis.WebSocket = null; Worker.prototype.postMessage = null; globalThis.Worker = null"},
		{"no timers", "globalThis.setTimeout = globalThis.queueMicrotask = process.nextTick = null"},
		{"no Atomics", "Atomics.compareExchange = Atomics.load = Atomics.waitAsync = null"},
		{"another directory and no environment", "Deno.chdir('/'); for (const name in Deno.env.toObject()) Deno.env.delete(name)"},
		{"endless recursion", "(function f() { f() })()"},
		{"nested parentheses", "eval('('.repeat(1e6))"},
		{"NUL in code", "x\x00y"},
		{"byte order mark", "\ufeff1"},
		{"open template", "`"},
		{"inspection of 50 MB", "({ [Symbol.for('Deno.customInspect')]: () => 'x'.repeat(5e7) })"},
		{"text of 30 MB", "'x'.repeat(3e7)"},
		{"own stacks", "Error.prepareStackTrace = () => { throw 1 }; new Error().stack"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := boot(t)
			r := c.Do(s.code)
			require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
			require.Equal(t, want{Main: "2", Out: "p\n", Err: "e\n"}, c.Do("console.log('p'); console.error('e'); 1 + 1").Want())
		})
	}
}

// What cannot be survived ends the kernel, and at once: it never hangs.
func TestSabotageThatKillsTheKernel(t *testing.T) {
	for _, s := range []struct{ name, code, says string }{
		{"the inspector closed", "(await import('node:inspector')).close(); await new Promise(() => {})", "the inspector has been closed"},
		{"the channel closed", "Deno.dlopen('libc.so.6', { close: { parameters: ['i32'], result: 'i32' } }).symbols.close(3); 1", "exit status 70"},
		{"abort", "process.abort()", "signal: aborted"},
		{"close", "close()", "exit status 0"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := boot(t)
			r := c.Do(s.code)
			require.Equal(t, kernel.EndingCrashed, r.Done.Ending)
			require.Contains(t, r.Done.Value, s.says)
			require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
		})
	}
	t.Run("the environment locked", func(t *testing.T) {
		c := boot(t)
		r := c.DoWith("Deno.permissions.revokeSync({ name: 'env' }); 1", map[string]string{"A": "b"})
		require.Equal(t, kernel.EndingCrashed, r.Done.Ending)
		require.Contains(t, r.Done.Value, "restore the environment")
		require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
	})
	t.Run("memory full", func(t *testing.T) {
		r := boot(t).Do("const a = []; for (;;) a.push(new Uint8Array(1e7).fill(1))")
		require.Equal(t, kernel.EndingOOM, r.Done.Ending)
	})
}

func TestSabotageOfEverythingEnds(t *testing.T) {
	null := imagetest.NullProperties
	imagetest.PlaySabotage(t, boot, imagetest.JavaScriptSabotage(), map[string]string{
		"async local storage": null("(await import('node:async_hooks')).AsyncLocalStorage.prototype"),
		"emitters":            null("(await import('node:events')).EventEmitter.prototype"),
		"sessions":            null("(await import('node:inspector')).Session.prototype"),
		"workers":             null("(await import('node:worker_threads')).Worker.prototype"),
		"streams":             null("(await import('node:stream')).Writable.prototype"),
		"Deno":                null("Deno"),
	})
}

// What lies in a workspace cannot keep the kernel of a restarted context from booting.
func TestBootsWhateverTheWorkspaceHolds(t *testing.T) {
	c := boot(t)
	r := c.Do(`for (const name of ["deno.json", "deno.lock", "package.json", ".npmrc", ".env"]) Deno.writeTextFileSync(name, "{broken"); Deno.exit(0)`)
	require.Contains(t, r.Done.Value, "exit status 0")
	require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
}
