package supervisor

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestDeath(t *testing.T) {
	dies := func(exit Exit) func(k *scripted, _ Run, sink Sink) error {
		return func(k *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			time.Sleep(time.Second)
			k.die(exit)
			return ErrExited
		}
	}
	var oomKills atomic.Int64 // of the container so far
	withOOMKill := func(execute func(k *scripted, run Run, sink Sink) error) func(k *scripted, run Run, sink Sink) error {
		return func(k *scripted, run Run, sink Sink) error {
			oomKills.Add(1)
			return execute(k, run, sink)
		}
	}
	cases := []struct {
		name    string
		execute func(k *scripted, _ Run, sink Sink) error
		ending  kernel.Ending
		value   string
	}{
		{"exit", dies(Exit{Value: "exit status 0"}), kernel.EndingCrashed, "exit status 0"},
		{"crash", dies(Exit{Value: "signal: segmentation fault"}), kernel.EndingCrashed, "signal: segmentation fault"},
		{"out of memory", withOOMKill(dies(Exit{Value: "signal: killed", Process: "python, pid 7", Killed: true})), kernel.EndingOOM, "out of memory: the kernel (python, pid 7) was killed"},
		{"killed by itself", dies(Exit{Value: "signal: killed", Killed: true}), kernel.EndingCrashed, "signal: killed"},
		{"exit while a child runs out of memory", withOOMKill(dies(Exit{Value: "exit status 0"})), kernel.EndingCrashed, "exit status 0"},
		{"broken protocol", func(_ *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			time.Sleep(time.Second)
			return errors.New("kernel sent no frame")
		}, kernel.EndingCrashed, "kernel sent no frame"},
	}
	for _, tt := range cases {
		t.Run(tt.name+" ends the running and the queued", func(t *testing.T) {
			cfg := Config{Meter: func() Sample { return Sample{OOMKills: oomKills.Load()} }}
			onBench(t, &scripted{execute: tt.execute}, cfg, func(t *testing.T, b *bench) {
				c := b.claimed(t)
				c.execute("1", "")
				c.execute("2", "")
				done := c.ends("1", tt.ending, kernel.StateLost)
				require.Equal(t, tt.value, done.Value)
				done = c.ends("2", tt.ending, kernel.StateLost)
				require.Equal(t, "not run: "+tt.value, done.Value)
				exited := c.next()
				require.Equal(t, []any{kernel.TypeExited, tt.ending, tt.value}, []any{exited.Type, exited.Ending, exited.Value})
				require.Len(t, exited.Executions, 2)
				for _, known := range exited.Executions {
					require.Equal(t, tt.ending, known.Done.Ending, "each is told with its done")
				}
				require.Equal(t, tt.value, b.dial(t).hello.Exited)
				require.Positive(t, b.kernel.killed(), "what the kernel has left behind is killed")
			})
		})
	}
	for _, tt := range []struct {
		name   string
		exit   Exit
		ending kernel.Ending
		value  string
	}{
		{"by the signal", Exit{Value: "signal: interrupt", Cut: true}, kernel.EndingInterrupted, "died of the interrupt: signal: interrupt"},
		{"for another reason", Exit{Value: "signal: segmentation fault"}, kernel.EndingCrashed, "signal: segmentation fault"},
	} {
		t.Run("after an interrupt, "+tt.name, func(t *testing.T) {
			k := &scripted{execute: func(k *scripted, _ Run, sink Sink) error {
				sink.Event(kernel.Event{Type: kernel.TypeStarted})
				<-k.interrupted
				k.die(tt.exit)
				return ErrExited
			}}
			onBench(t, k, Config{}, func(t *testing.T, b *bench) {
				c := b.claimed(t)
				c.execute("1", "")
				c.next()
				c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
				require.Equal(t, tt.value, c.ends("1", tt.ending, kernel.StateLost).Value)
			})
		})
	}
	t.Run("by a SIGINT that nobody asked for is a crash", func(t *testing.T) {
		onBench(t, &scripted{execute: dies(Exit{Value: "signal: interrupt", Cut: true})}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.ends("1", kernel.EndingCrashed, kernel.StateLost)
		})
	})
	t.Run("idle kernel that dies is told", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			b.kernel.die(Exit{Value: "exit status 3"})
			require.Equal(t, kernel.TypeExited, c.next().Type)
			c.execute("1", "")
			require.Equal(t, []string{"1", string(kernel.RefusedDead)}, pair(c.next()))
		})
	})
	t.Run("journal stays readable", func(t *testing.T) {
		onBench(t, &scripted{execute: dies(Exit{Value: "exit status 0"})}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.done()
			c = b.dial(t)
			c.send(kernel.Request{Op: kernel.OpResume, ID: "1", After: 1})
			c.ends("1", kernel.EndingCrashed, kernel.StateLost)
		})
	})
}
