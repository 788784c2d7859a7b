package supervisor

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestResume(t *testing.T) {
	t.Run("delivers what came after the last event seen", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			for i := range 3 {
				c.execute(fmt.Sprint(i), "x")
				c.done()
			}
			for _, tt := range []struct {
				after uint64
				want  []kernel.EventType
			}{
				{0, []kernel.EventType{kernel.TypeStarted, kernel.TypeStdout, kernel.TypeDone}},
				{4, []kernel.EventType{kernel.TypeStdout, kernel.TypeDone}},
				{5, []kernel.EventType{kernel.TypeDone}},
				{6, nil},
			} {
				c = b.dial(t)
				resumed := c.ask(kernel.Request{Op: kernel.OpResume, ID: "1", After: tt.after, Reader: 7})
				require.Equal(t, kernel.Event{ID: "1", Type: kernel.TypeResumed, Reader: 7, Seq: 6}, resumed)
				for _, want := range tt.want {
					ev := c.next()
					require.Equal(t, want, ev.Type)
					require.Equal(t, "1", ev.ID)
				}
				require.Equal(t, kernel.TypePong, c.ask(kernel.Request{Op: kernel.OpPing}).Type, "and nothing more")
			}
		})
	})
	t.Run("of a queued execution says that nothing has happened", func(t *testing.T) {
		onBench(t, &scripted{execute: stubborn}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			c.execute("2", "")
			resumed := c.ask(kernel.Request{Op: kernel.OpResume, ID: "2", Reader: 1})
			require.Equal(t, kernel.Event{ID: "2", Type: kernel.TypeResumed, Reader: 1}, resumed)
		})
	})
	t.Run("takes over from an older reader of the connection", func(t *testing.T) {
		var printed atomic.Int64
		onBench(t, &scripted{execute: printer(many/4, &printed)}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			first := c.next()
			for reader := range uint64(20) {
				c.send(kernel.Request{Op: kernel.OpResume, ID: "1", Reader: reader})
				ev := c.next()
				for ; ev.Type != kernel.TypeResumed; ev = c.next() {
					require.Greater(t, ev.Seq, first.Seq, "of the reader before")
				}
				require.Equal(t, reader, ev.Reader)
				require.Equal(t, first, c.next(), "the new reader begins where it asked")
				first = kernel.Event{ID: "1", Seq: 1, Type: kernel.TypeStarted}
			}
			var text strings.Builder
			for ev := c.next(); ev.Type != kernel.TypeDone; ev = c.next() {
				text.WriteString(ev.Text)
				c.send(kernel.Request{Op: kernel.OpAck, ID: "1", Seq: ev.Seq})
			}
			require.Equal(t, many/4*kernel.MaxText, text.Len())
		})
	})
}
