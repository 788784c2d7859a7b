package supervisor

import (
	"crypto/rand"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// chunk is one text of a kernel that prints much.
var chunk = strings.Repeat("x", kernel.MaxText)

// printer is a kernel that prints count chunks as fast as it may, and counts them.
func printer(count int, printed *atomic.Int64) func(*scripted, Run, Sink) error {
	return func(k *scripted, _ Run, sink Sink) error {
		sink.Event(kernel.Event{Type: kernel.TypeStarted})
		for range count {
			sink.Ready(0, k.exited)
			sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: chunk})
			printed.Add(1)
		}
		return nil
	}
}

// many is more chunks than the ring holds.
const many = 3 * JournalSize / kernel.MaxText

func TestWindow(t *testing.T) {
	t.Run("reader that acknowledges gets everything", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			start, size := time.Now(), 0
			for ev := c.next(); ev.Type != kernel.TypeDone; ev = c.next() {
				require.NotEqual(t, kernel.TypeGap, ev.Type)
				size += len(ev.Text)
				if ev.Type == kernel.TypeStdout {
					time.Sleep(10 * time.Millisecond)
					c.send(kernel.Request{Op: kernel.OpAck, ID: "1", Seq: ev.Seq})
				}
			}
			require.Equal(t, many*kernel.MaxText, size)
			require.Equal(t, many*10*time.Millisecond, time.Since(start), "the kernel is as fast as the reader")
		})
	})
	t.Run("kernel waits for a reader that is slow, for a second", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			time.Sleep(kernel.AckPatience - time.Millisecond)
			synctest.Wait()
			require.LessOrEqual(t, int(printed.Load()), kernel.Window/kernel.MaxText+1)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			require.EqualValues(t, many, printed.Load(), "then it is given up")
		})
	})
	t.Run("kernel waits no second more for every reader that takes over", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			for reader := range uint64(4) {
				time.Sleep(kernel.AckPatience / 3)
				c.send(kernel.Request{Op: kernel.OpResume, ID: "1", Reader: reader + 1})
			}
			synctest.Wait()
			require.EqualValues(t, many, printed.Load())
		})
	})
	t.Run("reader that is slow learns of the end at once", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			ev := c.next()
			for ; ev.Type != kernel.TypeEnded; ev = c.next() {
				require.NotEqual(t, kernel.TypeDone, ev.Type)
			}
			require.Len(t, ev.Executions, 1)
			require.Equal(t, kernel.EndingOK, ev.Executions[0].Done.Ending)
			require.EqualValues(t, many*kernel.MaxText, ev.Executions[0].Output)
		})
	})
	t.Run("reader that acknowledges nothing is sent a window, and the rest after its ack", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			time.Sleep(2 * kernel.AckPatience)
			size, missing, last := 0, int64(0), uint64(0)
			for size < kernel.Window {
				ev := c.next()
				size, missing, last = size+len(ev.Text), missing+ev.Bytes, ev.Seq
			}
			require.Equal(t, kernel.TypePong, c.ask(kernel.Request{Op: kernel.OpPing}).Type, "no more of the output comes")
			c.send(kernel.Request{Op: kernel.OpAck, ID: "1", Seq: last})
			for ev := c.next(); ev.Type != kernel.TypeDone; ev = c.next() {
				size += len(ev.Text)
				missing += ev.Bytes
				c.send(kernel.Request{Op: kernel.OpAck, ID: "1", Seq: ev.Seq})
			}
			require.Positive(t, missing)
			require.EqualValues(t, many*kernel.MaxText, int64(size)+missing)
		})
	})
	t.Run("done is kept for a reader that is slow, whatever runs meanwhile", func(t *testing.T) {
		var printed atomic.Int64
		k := &scripted{execute: func(k *scripted, run Run, sink Sink) error {
			if run.ID == "slow" {
				return printer(many, &printed)(k, run, sink)
			}
			return echo(k, run, sink)
		}}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("slow", "")
			last := uint64(0)
			for size := 0; size < kernel.Window; {
				ev := c.next()
				size, last = size+len(ev.Text), ev.Seq
			}
			for range 2 * kernel.Remembered {
				c.execute(rand.Text(), "")
				c.done()
			}
			for ev := (kernel.Event{ID: "slow", Seq: last}); ev.Type != kernel.TypeDone; ev = c.next() {
				c.send(kernel.Request{Op: kernel.OpAck, ID: "slow", Seq: ev.Seq})
			}
			c.execute("one more", "")
			c.done()
			require.Len(t, b.dial(t).hello.Executions, kernel.Remembered, "read to its end, it is forgotten")
		})
	})
	t.Run("executions that are forgotten leave nothing behind", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			for range 2 * kernel.Remembered {
				c.execute(rand.Text(), "x")
				c.done()
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			require.LessOrEqual(t, len(b.conn.cursors), kernel.Remembered)
			for _, r := range b.journal.ring {
				require.Equal(t, b.journal.knows(r.id), len(r.kept) > 0)
			}
		})
	})
	t.Run("kernel does not wait when nobody is attached", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			start := time.Now()
			require.NoError(t, c.stream.Close())
			synctest.Wait()
			require.EqualValues(t, many, printed.Load())
			require.Equal(t, start, time.Now())

			c = b.dial(t)
			require.Equal(t, kernel.ExecutionDone, c.hello.Executions[0].State)
			require.Equal(t, kernel.EndingOK, c.hello.Executions[0].Done.Ending)
			require.EqualValues(t, many*kernel.MaxText, c.hello.Executions[0].Output)
			c.ask(kernel.Request{Op: kernel.OpResume, ID: "1", After: 1})
			gap := c.next()
			require.Equal(t, kernel.TypeGap, gap.Type)
			size := 0
			ev := c.next()
			for ; ev.Type != kernel.TypeDone; ev = c.next() {
				size += len(ev.Text)
				c.send(kernel.Request{Op: kernel.OpAck, ID: "1", Seq: ev.Seq})
			}
			require.EqualValues(t, many*kernel.MaxText, gap.Bytes+int64(size))
			require.Less(t, size, JournalSize)
		})
	})
	t.Run("one execution's full window does not hold another's events back", func(t *testing.T) {
		var printed atomic.Int64
		k := &scripted{execute: func(k *scripted, run Run, sink Sink) error {
			if run.Code == "loud" {
				return printer(many, &printed)(k, run, sink)
			}
			return echo(k, run, sink)
		}}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "loud")
			c.execute("2", "quiet")
			done, _ := c.done()
			require.Equal(t, "2", done.ID)
		})
	})
	t.Run("death is told though a window is full", func(t *testing.T) {
		k := &scripted{execute: func(k *scripted, run Run, sink Sink) error {
			var printed atomic.Int64
			_ = printer(many, &printed)(k, run, sink)
			k.die(Exit{Value: "exit status 0"})
			return ErrExited
		}}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			ev := c.next()
			for ; ev.Type != kernel.TypeExited; ev = c.next() {
				require.NotEqual(t, kernel.TypeDone, ev.Type, "it stands behind output that the reader has not taken")
			}
			require.Len(t, ev.Executions, 1)
			require.Equal(t, kernel.EndingCrashed, ev.Executions[0].Done.Ending)
			require.EqualValues(t, many*kernel.MaxText, ev.Executions[0].Output)
		})
	})
}
