package imagetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// JavaScriptLongLoop is no endless one: if an interrupt comes before it, and ends what it waits for, it runs in a later
// execution.
const JavaScriptLongLoop = "for (const end = performance.now() + 5000; performance.now() < end;);"

// PlayLeftBlocks interrupts JavaScript that waits before it blocks. The wait is over later, and where the code blocks the
// kernel then, the next execution has to get rid of it.
func PlayLeftBlocks(t *testing.T, c *Context, blocks ...string) {
	t.Helper()
	c.Do("let kept = 41")
	for _, block := range blocks {
		r := c.InterruptAfter("looped = false; console.log('up'); await new Promise(r => setTimeout(r, 100)); looped = true; "+block,
			kernel.TypeStdout, 0)
		require.Equal(t, kernel.EndingInterrupted, r.Done.Ending, r.Done.Value)
		require.Equal(t, kernel.StatePreserved, r.Done.State, r.Done.Value)
		time.Sleep(3 * time.Second) // until it blocks
		require.Equal(t, Want{Main: "42", Out: "p\n"}, c.Do("console.log('p'); await null; looped && kept + 1").Want())
	}
}

// PlayLeftValues interrupts JavaScript that waits for its value. When that comes it must not be shown any more: to show it
// calls user code, here by a method that inspection looks up under a symbol, and in the middle of a later execution nobody
// could tell whose it is.
func PlayLeftValues(t *testing.T, c *Context, symbol string) {
	t.Helper()
	value := "{ [Symbol.for('" + symbol + "')]() { shown = true; return '' } }"
	for _, settled := range []string{"resolve(" + value + ")", "reject(" + value + ")"} {
		c.Do("shown = false")
		code := "console.log('up'); new Promise((resolve, reject) => { settle = () => " + settled + " })"
		r := c.InterruptAfter(code, kernel.TypeStdout, 300*time.Millisecond)
		require.Equal(t, kernel.EndingInterrupted, r.Done.Ending, r.Done.Value)
		require.Equal(t, Want{Main: "false"}, c.Do("settle(); await new Promise(r => setTimeout(r, 100)); shown").Want())
	}
}
