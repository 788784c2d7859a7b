package supervisor

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// flood is a kernel that prints and shows until an interrupt, and then prints some more.
func flood(k *scripted, _ Run, sink Sink) error {
	sink.Event(kernel.Event{Type: kernel.TypeStarted})
	for {
		sink.Ready(0, k.exited)
		sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: "0123456789"})
		sink.Event(kernel.Event{Type: kernel.TypeResult, Data: note("01234567")})
		select {
		case <-k.interrupted:
			sink.Event(kernel.Event{Type: kernel.TypeStderr, Text: strings.Repeat("x", 5000)})
			sink.Event(kernel.Event{Type: kernel.TypeError, Name: "KeyboardInterrupt"})
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

func TestOutputLimit(t *testing.T) {
	limited := kernel.Request{Op: kernel.OpExecute, ID: "1", Limits: &kernel.Limits{OutputBytes: 1000}}
	t.Run("ends an execution that writes more", func(t *testing.T) {
		onBench(t, &scripted{execute: flood}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.send(limited)
			size := int64(0)
			ev := c.next()
			for ; ev.Type != kernel.TypeDone; ev = c.next() {
				size += ev.OutputBytes()
			}
			require.Equal(t, []any{kernel.EndingOutputLimit, kernel.StatePreserved}, []any{ev.Ending, ev.State})
			require.Equal(t, "more than 1000 bytes of output and results", ev.Value)
			require.Equal(t, int64(1000+20+5000), size, "what was written is delivered, the last words too")
			_, interrupts := b.kernel.counts()
			require.Equal(t, 1, interrupts)
		})
	})
	t.Run("is told of code that ends before the interrupt, too", func(t *testing.T) {
		quick := func(_ *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: strings.Repeat("x", 1001)})
			return nil
		}
		onBench(t, &scripted{execute: quick}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.send(limited)
			c.ends("1", kernel.EndingOutputLimit, kernel.StatePreserved)
		})
	})
	t.Run("kernel that goes on is killed", func(t *testing.T) {
		deaf := func(k *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			for {
				sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: "0123456789"})
				select {
				case <-k.exited:
					return ErrExited
				case <-time.After(time.Millisecond):
				}
			}
		}
		onBench(t, &scripted{execute: deaf}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.send(limited)
			done := c.ends("1", kernel.EndingOutputLimit, kernel.StateLost)
			require.Contains(t, done.Value, "killed: it had not ended 2s after the interrupt for its limit (more than 1000 bytes")
		})
	})
	t.Run("late output of another execution does not count", func(t *testing.T) {
		var late Sink
		k := &scripted{execute: func(k *scripted, run Run, sink Sink) error {
			if late != nil {
				late.Event(kernel.Event{Type: kernel.TypeStdout, Text: strings.Repeat("x", 2000)})
			}
			late = sink
			return echo(k, run, sink)
		}}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.send(limited)
			c.ends("1", kernel.EndingOK, kernel.StatePreserved)
			next := limited
			next.ID = "2"
			c.send(next)
			c.ends("2", kernel.EndingOK, kernel.StatePreserved)
		})
	})
	t.Run("negative limit is refused", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			for _, limits := range []kernel.Limits{{OutputBytes: -1}, {DiskBytes: -1}} {
				refused := c.ask(kernel.Request{Op: kernel.OpExecute, ID: "1", Limits: &limits})
				require.Equal(t, string(kernel.RefusedRequest), refused.Name)
			}
		})
	})
}

func TestUsageCountsOOMKills(t *testing.T) {
	var kills atomic.Int64
	kills.Store(3) // of earlier executions
	meter := func() Sample { return Sample{OOMKills: kills.Load()} }
	child := func(k *scripted, run Run, sink Sink) error {
		kills.Add(2)
		return echo(k, run, sink)
	}
	onBench(t, &scripted{execute: child}, Config{Meter: meter}, func(t *testing.T, b *bench) {
		c := b.claimed(t)
		c.execute("1", "")
		ev := c.next()
		for ; ev.Type != kernel.TypeDone; ev = c.next() {
		}
		require.Equal(t, kernel.EndingOK, ev.Ending, "the kernel was not killed")
		require.EqualValues(t, 2, ev.Usage.OOMKills)
	})
}
