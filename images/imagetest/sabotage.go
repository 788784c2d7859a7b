package imagetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// NullProperties is JavaScript that sets all own properties of an object to null.
func NullProperties(object string) string {
	return "{ const o = " + object + "; for (const n of Object.getOwnPropertyNames(o)) if (n !== '__proto__') try { o[n] = null } catch {} }"
}

// JavaScriptSabotage is JavaScript that breaks what every program in the same realm uses.
func JavaScriptSabotage() map[string]string {
	const names = "['id', 'type', 'op', 'serial', 'fds', 'code', 'env', 'result', 'exceptionDetails', 'objectId', 'value', 'name', 'message', 'get', 'set', 'method', 'params', 'error', 'promise']"
	return map[string]string{
		"strings":                  NullProperties("String.prototype"),
		"arrays":                   NullProperties("Array.prototype"),
		"objects":                  NullProperties("Object.prototype"),
		"globals":                  NullProperties("globalThis"),
		"globals deleted":          "for (const n of Object.getOwnPropertyNames(globalThis)) try { delete globalThis[n] } catch {}",
		"bytes, for good":          "for (const n of Object.getOwnPropertyNames(Object.getPrototypeOf(Uint8Array.prototype))) try { Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype), n, { value: null }) } catch {}",
		"apply":                    "Function.prototype.apply = null",
		"properties":               "for (const n of " + names + ") Object.prototype[n] = 7",
		"accessors":                "for (const n of " + names + ") Object.defineProperty(Object.prototype, n, { set() { throw 1 }, get() { throw 2 }, configurable: true })",
		"stacks":                   "Error.captureStackTrace = null; Error.stackTraceLimit = 'x'; Object.defineProperty(Error, 'prepareStackTrace', { get() { throw 1 } })",
		"everything is frozen":     "Object.freeze(Object.prototype); Object.freeze(globalThis); Object.freeze(process); Object.freeze(console)",
		"prototypes of prototypes": "Object.setPrototypeOf(Array.prototype, null); Object.setPrototypeOf(Function.prototype, null)",
	}
}

// sabotage runs code that breaks what it can, and holds that what comes next never hangs: it runs, or the kernel dies and
// says so, and the one after that has a new kernel.
func (c *Context) sabotage(code string) {
	c.t.Helper()
	want := Want{Main: "2"}
	c.Do(code) // which may hit itself
	r := c.Do("1 + 1")
	if r.Done.Ending == kernel.EndingCrashed {
		require.NotEmpty(c.t, r.Done.Value)
	} else {
		require.Equal(c.t, want, r.Want())
	}
	require.Equal(c.t, want, c.Do("1 + 1").Want())
}

// PlaySabotage plays sets of sabotage, each row in a context of its own.
func PlaySabotage(t *testing.T, boot func(*testing.T) *Context, sets ...map[string]string) {
	t.Helper()
	for _, set := range sets {
		for name, code := range set {
			t.Run(name, func(t *testing.T) { boot(t).sabotage(code) })
		}
	}
}
