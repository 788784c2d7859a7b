package supervisor

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestRepeatedExecute(t *testing.T) {
	t.Run("is a resume", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "once")
			first := c.ends("1", kernel.EndingOK, kernel.StatePreserved)
			c.execute("1", "twice")
			again, text := c.done()
			require.Equal(t, "once", text)
			require.Equal(t, first, again)
			require.Equal(t, []string{"once"}, b.kernel.runs)
		})
	})
	t.Run("of a forgotten execution is not run again", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			refused := c.ask(kernel.Request{Op: kernel.OpExecute, ID: "1", Code: "twice", After: 1})
			require.Equal(t, []string{"1", string(kernel.RefusedUnknown)}, pair(refused))
			require.Empty(t, b.kernel.runs)
		})
	})
	t.Run("finds all that has ended while nobody was attached", func(t *testing.T) {
		release := make(chan struct{})
		k := &scripted{execute: func(k *scripted, run Run, sink Sink) error {
			<-release
			return echo(k, run, sink)
		}}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			release = make(chan struct{})
			c := b.claimed(t)
			c.execute("running", "")
			synctest.Wait()
			for i := range kernel.QueueLength {
				c.execute(fmt.Sprint(i), "")
			}
			require.NoError(t, c.stream.Close())
			close(release)
			synctest.Wait()
			c = b.dial(t)
			c.execute("running", "")
			c.ends("running", kernel.EndingOK, kernel.StatePreserved)
			require.Len(t, b.kernel.runs, 1+kernel.QueueLength, "each has run once")
		})
	})
}
