//go:build integration

package javascript

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator/kernel"
)

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func TestOutputIsInOrder(t *testing.T) {
	cells{
		{"console and children", `const cp = require('child_process'), fs = require('fs')
console.log('a'); cp.execSync('echo b', {stdio: 'inherit'}); process.stdout.write('c '); fs.writeSync(1, 'd '); cp.spawnSync('echo', ['e'], {stdio: 'inherit'})
console.log('f')`, want{Out: "a\nb\nc d e\nf\n"}},
		{"a child in the background", `await new Promise(r => cp.spawn('echo', ['g'], {stdio: 'inherit'}).on('exit', r)); console.log('h')`, want{Out: "g\nh\n"}},
		{"a pipe into it", `await require('stream/promises').pipeline(['i\n', Buffer.from('j\n')], process.stdout, {end: false}); console.log('k')`, want{Out: "i\nj\nk\n"}},
		{"bytes and encodings", `process.stdout.write(Buffer.from('l')); process.stdout.write('6d', 'hex'); process.stdout.write('\n'); undefined`, want{Out: "lm\n"}},
		{"without an end of line", "process.stdout.write('half'); undefined", want{Out: "half"}},
		{"10 000 lines", "for (let i = 0; i < 10_000; i++) console.log(i)", want{Out: lines(10_000)}},
		{"at once", "process.stdout.write('0'.repeat(5e6)); undefined", want{Out: strings.Repeat("0", 5_000_000)}},
		{"a pipe that a child has made non-blocking", `await new Promise(r => cp.spawn(process.execPath, ['-e', 'process.stdout.write("n")'], {stdio: 'inherit'}).on('exit', r))
process.stdout.write('0'.repeat(3e6)); undefined`, want{Out: "n" + strings.Repeat("0", 3_000_000)}},
		{"a thread's", `const {Worker} = require('worker_threads'); await new Promise(r => new Worker('console.log("thread")', {eval: true}).on('exit', r)); await 1; undefined`, want{Out: "thread\n"}},
	}.Play(t, boot(t, "javascript"))
}

func TestLateOutputNeverLandsInAnotherExecution(t *testing.T) {
	for name, late := range map[string]string{
		"timer":             "setTimeout(() => console.log('late'), 200)",
		"timer of a timer":  "setTimeout(() => setTimeout(console.log, 100, 'late'), 100)",
		"promise":           "(async () => { await new Promise(r => setTimeout(r, 200)); console.log('late') })()",
		"left-over process": "require('child_process').spawn('sh', ['-c', 'sleep 0.2; echo late'], {stdio: 'inherit'})",
		"child's event":     "require('child_process').exec('sleep 0.2; echo late', (error, out) => process.stdout.write(out))",
		"display":           "setTimeout(() => display('late'), 200)",
		"error":             "setTimeout(() => { throw new Error('late') }, 200)",
		"rejection":         "setTimeout(() => Promise.reject(new Error('late')), 200)",
		"emitter":           "const e = new EventTarget(); setTimeout(() => e.dispatchEvent(new Event('x')), 200); e.addEventListener('x', () => console.log('late'))",
	} {
		t.Run(name, func(t *testing.T) {
			c := boot(t, "javascript")
			require.Equal(t, want{}, c.Do(late+"; undefined").Want())
			require.Equal(t, want{Out: "mine\n"}, c.Do("await new Promise(r => setTimeout(r, 500)); console.log('mine')").Want())
		})
	}
}

func TestPipesOfFinishedExecutionsAreBounded(t *testing.T) {
	c := boot(t, "javascript")
	c.Do("let go; const gone = new Promise(r => { go = r })")
	for range 70 {
		require.Equal(t, want{}, c.Do("gone.then(() => console.log('late')); undefined").Want())
	}
	r := c.Do("require('fs').readdirSync('/proc/self/fd').length < 2 * 64 + 40")
	require.Equal(t, want{Main: "true"}, r.Want())
	require.Equal(t, want{Main: "1"}, c.Do("go(); await new Promise(r => setTimeout(r, 100)); 1").Want())
}

const longLoop = imagetest.JavaScriptLongLoop

func TestInterrupt(t *testing.T) {
	c := boot(t, "javascript")
	for _, cell := range []struct{ name, code string }{
		{"loop", "for (;;);"},
		{"loop with a catch", "for (;;) try { for (;;); } catch {} finally { continue }"},
		{"await of what never comes", "await new Promise(() => {})"},
		{"await of a timer", "await new Promise(r => setTimeout(r, 60_000))"},
		{"promise that never comes", "new Promise(() => {})"},
		{"endless microtasks", "for (;;) await null"},
		{"endless microtasks that nobody waits for", "const again = () => queueMicrotask(again); again()"},
		{"endless immediates", "for (;;) await new Promise(setImmediate)"},
		{"loop after an await", "await 1; for (;;);"},
		{"loop in a timer", "setTimeout(() => { " + longLoop + " }); await new Promise(() => {})"},
		{"loops in timers", "for (let i = 0; i < 3; i++) setTimeout(() => { " + longLoop + " }); await new Promise(() => {})"},
		{"Atomics.wait", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"},
		{"child that blocks", "require('child_process').execSync('sleep 60', {stdio: 'inherit'})"},
		{"children that block", "for (;;) try { require('child_process').execSync('sleep 60') } catch {}"},
		{"awaited child", "await require('util').promisify(require('child_process').exec)('sleep 60; sleep 60')"},
		{"regular expression", "/(a+)+b/.test('a'.repeat(64))"},
		{"inspection", "({get [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); }})"},
		{"printing", "for (;;) console.log('x'.repeat(100))"},
		{"displaying", "for (;;) display(1)"},
		{"listener of the user's", "process.on('SIGINT', () => {}); for (;;);"},
		{"listener that has gone", "process.on('SIGINT', () => {}); process.removeAllListeners('SIGINT'); for (;;);"},
		{"generator", "function* g() { try { for (;;) yield 1 } finally { for (;;); } }; for (const x of g());"},
		{"sort", "for (;;) Array.from({length: 1e5}, Math.random).sort((a, b) => a - b)"},
	} {
		t.Run(cell.name, func(t *testing.T) {
			c := c.In(t)
			require.Equal(t, want{}, c.Do("let kept = 41").Want())
			r := interrupt(c, cell.code)
			require.Equal(t, kernel.EndingInterrupted, r.Done.Ending, r.Done.Value)
			require.Equal(t, kernel.StatePreserved, r.Done.State)
			require.Equal(t, want{Main: "42", Out: "p\n"}, c.Do("console.log('p'); await 1; kept + 1").Want())
		})
	}
}

func TestTimersGoOnAfterAnInterrupt(t *testing.T) {
	c := boot(t, "javascript")
	c.Do("let ticks = 0; const ticking = setInterval(() => ticks++, 10)")
	require.Equal(t, kernel.EndingInterrupted, interrupt(c, "for (;;);").Done.Ending)
	require.Equal(t, want{Main: "true"}, c.Do("ticks = 0; await new Promise(r => setTimeout(r, 200)); ticks > 5").Want())
}

func TestWhatAnInterruptHasLeftDoesNotBlock(t *testing.T) {
	imagetest.PlayLeftBlocks(t, boot(t, "javascript"), "for (;;);", "for (;;) require('child_process').spawnSync('sleep', ['60'])")
}

func TestValueOfAnInterruptedExecutionIsNotShown(t *testing.T) {
	imagetest.PlayLeftValues(t, boot(t, "javascript"), "nodejs.util.inspect.custom")
}

// An interrupt that comes when its execution begins or ends hits it or nothing.
func TestInterruptRaces(t *testing.T) {
	c := boot(t, "javascript")
	codes := []string{
		"1", "console.log(1)", "display(1)", "await new Promise(r => setTimeout(r, 1)); 1", "for (let i = 0; i < 1e6; i++); 1",
		"await null; 1", "for (let i = 0; i < 3e7; i++); 1",
	}
	for i := range 140 {
		r := c.InterruptAfter(codes[i%len(codes)], kernel.TypeStarted, time.Duration(i)*100*time.Microsecond)
		require.Contains(t, []kernel.Ending{kernel.EndingOK, kernel.EndingInterrupted}, r.Done.Ending, r.Done.Value)
		require.Equal(t, kernel.StatePreserved, r.Done.State)
		require.Equal(t, want{Main: "2", Out: "p\n"}, c.Do("console.log('p'); await null; 1 + 1").Want())
	}
}
