package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestLateOutput(t *testing.T) {
	// leaves is a kernel whose every execution leaves something behind that prints an hour later.
	leaves := func(k *scripted, run Run, sink Sink) error {
		go func() {
			select {
			case <-time.After(time.Hour):
				sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: "late " + run.Code})
				sink.Event(kernel.Event{Type: kernel.TypeError, Name: "Late"})
				sink.Event(kernel.Event{Type: kernel.TypeResult, Main: true})
				sink.Event(kernel.Event{Type: kernel.TypeStarted})
			case <-k.exited:
			}
		}()
		return echo(k, run, sink)
	}
	t.Run("carries its own execution's id, and output it is alone", func(t *testing.T) {
		onBench(t, &scripted{execute: leaves}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "one")
			c.done()
			b.kernel.execute = untilInterrupted
			c.execute("2", "two")
			require.Equal(t, kernel.Event{ID: "2", Seq: 4, Type: kernel.TypeStarted}, c.next())
			require.Equal(t, kernel.Event{ID: "1", Seq: 5, Type: kernel.TypeStdout, Text: "late one"}, c.next())
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "2"})
			require.Equal(t, []any{"2", kernel.TypeError, "KeyboardInterrupt"}, func() []any { ev := c.next(); return []any{ev.ID, ev.Type, ev.Name} }())
			c.ends("2", kernel.EndingInterrupted, kernel.StatePreserved)
		})
	})
	t.Run("is delivered to whoever resumes after the done", func(t *testing.T) {
		onBench(t, &scripted{execute: leaves}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "one")
			first, _ := c.done()
			c.execute("2", "two")
			second, _ := c.done()
			require.NoError(t, c.stream.Close())
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			c = b.dial(t)
			for _, tt := range []struct {
				done kernel.Event
				text string
			}{{first, "late one"}, {second, "late two"}} {
				resumed := c.ask(kernel.Request{Op: kernel.OpResume, ID: tt.done.ID, After: tt.done.Seq})
				require.Equal(t, kernel.TypeResumed, resumed.Type)
				require.Greater(t, resumed.Seq, tt.done.Seq)
				late := c.next()
				require.Equal(t, []any{tt.done.ID, kernel.TypeStdout, tt.text}, []any{late.ID, late.Type, late.Text})
				require.Equal(t, kernel.TypePong, c.ask(kernel.Request{Op: kernel.OpPing}).Type, "and nothing more")
			}
		})
	})
}
