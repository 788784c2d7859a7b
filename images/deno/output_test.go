//go:build integration

package deno

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator/kernel"
)

func TestOutputIsInOrder(t *testing.T) {
	const child = "new Deno.Command('echo', { args: ['child'], stdout: 'inherit' })"
	cells{
		{
			"everything that prints", "console.log('a'); " + child + ".outputSync(); process.stdout.write('b '); " +
				"await Deno.stdout.write(new TextEncoder().encode('c ')); Deno.stdout.writeSync(new TextEncoder().encode('d\\n'))",
			want{Out: "a\nchild\nb c d\n", Main: "2"},
		},
		{"a child in the background", "await " + child + ".spawn().status; console.log('e')", want{Out: "child\ne\n"}},
		{"Node's child", "import cp from 'node:child_process'; cp.execSync('echo f >&2', { stdio: 'inherit' }); undefined", want{Err: "f\n"}},
		{"a stream", "await new Blob(['g\\n']).stream().pipeTo(Deno.stdout.writable); console.log('h')", want{Out: "g\nh\n"}},
		{"a worker's", "const w = new Worker('data:text/javascript,console.log(1); postMessage(0)', { type: 'module' }); " +
			"await new Promise(r => { w.onmessage = r }); w.terminate()", want{Out: "1\n"}},
		{"half of a surrogate pair", "console.log('\\ud800')", want{Out: "\ufffd\n"}},
		{"at once", "process.stdout.write('0'.repeat(5e6)); undefined", want{Out: strings.Repeat("0", 5_000_000)}},
		{"no colours", "console.log({ a: 1 }, Deno.inspect([null]))", want{Out: "{ a: 1 } [ null ]\n"}},
	}.Play(t, boot(t))
}

func TestLateOutputNeverLandsInAnotherExecution(t *testing.T) {
	for name, late := range map[string]string{
		"timer":            "setTimeout(() => console.log('late'), 200)",
		"stream":           "setTimeout(() => Deno.stdout.write(new TextEncoder().encode('late')), 200)",
		"promise":          "(async () => { await new Promise(r => setTimeout(r, 200)); process.stdout.write('late') })()",
		"display":          "setTimeout(() => Deno.jupyter.display('late'), 200)",
		"error":            "setTimeout(() => { throw new Error('late') }, 200)",
		"rejection":        "setTimeout(() => Promise.reject(new Error('late')), 200)",
		"async rejection":  "(async () => { await new Promise(r => setTimeout(r, 200)); throw new Error('late') })()",
		"read that failed": "(async () => { await new Promise(r => setTimeout(r, 200)); await Deno.readFile('/late') })()",
	} {
		t.Run(name, func(t *testing.T) {
			c := boot(t)
			require.Equal(t, want{}, c.Do(late+"; undefined").Want())
			r := c.Do("await new Promise(r => setTimeout(r, 500)); console.log('mine')")
			require.Equal(t, want{Out: "mine\n"}, r.Want())
			require.Empty(t, r.Results)
		})
	}
}

func TestPipesOfFinishedExecutionsAreBounded(t *testing.T) {
	c := boot(t)
	c.Do("let go; const gone = new Promise(r => { go = r })")
	for range 70 {
		require.Equal(t, want{}, c.Do("gone.then(() => console.log('late')); undefined").Want())
	}
	require.Equal(t, want{Main: "true"}, c.Do("[...Deno.readDirSync('/proc/self/fd')].length < 2 * 64 + 60").Want())
	require.Equal(t, want{Main: "1"}, c.Do("go(); await new Promise(r => setTimeout(r, 100)); 1").Want())
}

const longLoop = imagetest.JavaScriptLongLoop

func TestInterrupt(t *testing.T) {
	c := boot(t)
	for _, cell := range []struct{ name, code string }{
		{"loop", "for (;;);"},
		{"loop with a catch", "for (;;) try { for (;;); } catch {} finally { continue }"},
		{"await of what never comes", "await new Promise(() => {})"},
		{"await of a timer", "await new Promise(r => setTimeout(r, 60_000))"},
		{"promise that never comes", "new Promise(() => {})"},
		{"endless microtasks", "for (;;) await null"},
		{"endless microtasks that nobody waits for", "const again = () => queueMicrotask(again); again()"},
		{"endless ticks", "const tick = () => process.nextTick(tick); tick()"},
		{"loop after a timer", "await new Promise(r => setTimeout(r, 1)); " + longLoop},
		{"loop in a timer", "setTimeout(() => { " + longLoop + " }); await new Promise(() => {})"},
		{"loops in timers", "for (let i = 0; i < 3; i++) setTimeout(() => { " + longLoop + " }); await new Promise(() => {})"},
		{"loop at once", "setImmediate(() => { " + longLoop + " }); await new Promise(() => {})"},
		{"awaited children", "for (;;) await new Deno.Command('sleep', { args: ['60'] }).output()"},
		{"children that block", "for (;;) new Deno.Command('sleep', { args: ['60'] }).outputSync()"},
		{"regular expression", "/(a+)+b/.test('a'.repeat(64))"},
		{"inspection", "({ [Symbol.for('Deno.customInspect')]() { for (;;); } })"},
		{"printing", "for (;;) console.log('x'.repeat(100))"},
		{"listener of the user's", "Deno.addSignalListener('SIGINT', () => {}); for (;;);"},
	} {
		t.Run(cell.name, func(t *testing.T) {
			c := c.In(t)
			require.Equal(t, want{}, c.Do("let kept = 41").Want())
			r := c.InterruptAfter("console.log('up'); "+cell.code, kernel.TypeStdout, 30*time.Millisecond)
			require.Equal(t, kernel.EndingInterrupted, r.Done.Ending, r.Done.Value)
			require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
			require.Equal(t, want{Main: "42", Out: "p\n"}, c.Do("console.log('p'); await 1; kept + 1").Want())
		})
	}
}

// Code that is still read when the interrupt comes never runs, and the inspector takes large code while it answers.
func TestInterruptBeforeCodeRuns(t *testing.T) {
	for name, code := range map[string]string{
		"imports":    "await import('node:fs'); for (const end = performance.now() + 1000; performance.now() < end;);",
		"large code": "/*" + strings.Repeat("x", 3<<20) + "*/ for (;;);",
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 8 {
				c := boot(t)
				r := c.InterruptAfter(code, kernel.TypeStarted, time.Duration(i)*time.Millisecond)
				require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
				require.Equal(t, want{Main: "2"}, c.Do("1 + 1").Want())
			}
		})
	}
}

// V8 drops all that is queued behind what it terminates: here what hands the interrupt on to the driver.
func TestInterruptOfWhatRunsBeforeIt(t *testing.T) {
	c := boot(t)
	for range 20 {
		r := c.InterruptAfter(`{
  const loop = () => {
    Deno.removeSignalListener("SIGINT", loop);
    for (const end = performance.now() + 1000; performance.now() < end;);
  };
  Deno.addSignalListener("SIGINT", loop);
  console.log("up");
  await new Promise(() => {});
}`, kernel.TypeStdout, 30*time.Millisecond)
		require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
		require.Equal(t, want{Main: "2", Out: "p\n"}, c.Do("console.log('p'); 1 + 1").Want())
	}
}

// A pause that hits what the inspector evaluates would block Deno for good. It is late where code runs without a break.
func TestInterruptBesideTheInspector(t *testing.T) {
	c := boot(t)
	for range 30 {
		r := c.InterruptAfter(`console.log("up"); {
  const due = new Promise(r => setTimeout(r, 30));
  Promise.reject(1); // of which the driver asks the inspector
  await new Promise(r => setTimeout(r));
  await new Promise(r => setTimeout(r));
  const end = performance.now() + 60;
  while (performance.now() < end);
  await due;
  `+longLoop+`
}`, kernel.TypeStdout, 200*time.Millisecond)
		require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
		require.Equal(t, want{Main: "2", Out: "p\n"}, c.Do("console.log('p'); 1 + 1").Want())
	}
}

// What the REPL waits for is garbage where nothing refers to it: the kernel must not mind, and goes on waiting.
func TestAwaitOfGarbage(t *testing.T) {
	c := boot(t)
	r := c.InterruptAfter(`setTimeout(() => { for (let i = 0; i < 300; i++) new Uint8Array(1e6).fill(1); console.log("collected") }, 10)
await new Promise(() => {})`, kernel.TypeStdout, 100*time.Millisecond)
	require.Equal(t, kernel.EndingInterrupted, r.Done.Ending)
	require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
}

func TestWhatAnInterruptHasLeftDoesNotBlock(t *testing.T) {
	imagetest.PlayLeftBlocks(t, boot(t), "for (;;);", "for (;;) new Deno.Command('sleep', { args: ['60'] }).outputSync()")
}

func TestValueOfAnInterruptedExecutionIsNotShown(t *testing.T) {
	imagetest.PlayLeftValues(t, boot(t), "Deno.customInspect")
}

// An interrupt that comes when its execution begins or ends hits it or nothing.
func TestInterruptRaces(t *testing.T) {
	c := boot(t)
	codes := []string{
		"1", "console.log(1)", "await new Promise(r => setTimeout(r, 1)); 1", "for (let i = 0; i < 1e6; i++); 1",
		"await null; 1", "for (let i = 0; i < 3e7; i++); 1",
	}
	for i := range 120 {
		r := c.InterruptAfter(codes[i%len(codes)], kernel.TypeStarted, time.Duration(i)*500*time.Microsecond)
		require.Contains(t, []kernel.Ending{kernel.EndingOK, kernel.EndingInterrupted}, r.Done.Ending, r.Done.Value)
		require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
		require.Equal(t, want{Main: "2", Out: "p\n"}, c.Do("console.log('p'); await null; 1 + 1").Want())
	}
}

// The inspector takes the next execution's code in the middle of what an interrupted one still runs.
func TestOutputOfAnInterruptedExecutionNeverLandsInAnother(t *testing.T) {
	c := boot(t)
	const code = "for (let i = 0; i < 10; i++) { console.log('late'); await new Promise(r => setTimeout(r, 4)) }"
	for i := range 150 {
		c.InterruptAfter(code, kernel.TypeStarted, time.Duration(i%30)*time.Millisecond)
		for range 2 {
			require.Equal(t, want{Out: "mine\n"}, c.Do("console.log('mine')").Want())
		}
	}
}
