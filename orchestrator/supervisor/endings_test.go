package supervisor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestLadder(t *testing.T) {
	interrupt := kernel.Request{Op: kernel.OpInterrupt, ID: "1"}
	started := kernel.Event{Type: kernel.TypeStarted}
	cases := []struct {
		name       string
		execute    func(k *scripted, run Run, sink Sink) error
		timeout    time.Duration
		interrupt  time.Duration // when; 0: not
		ending     kernel.Ending
		state      kernel.State
		takes      time.Duration
		interrupts int
	}{
		{
			name: "interrupt that takes", execute: untilInterrupted, interrupt: time.Second,
			ending: kernel.EndingInterrupted, state: kernel.StatePreserved, takes: time.Second, interrupts: 1,
		},
		{
			name: "timeout that takes", execute: untilInterrupted, timeout: 3 * time.Second,
			ending: kernel.EndingTimeout, state: kernel.StatePreserved, takes: 3 * time.Second, interrupts: 1,
		},
		{
			name: "the first cause is told", execute: stubborn, timeout: 3 * time.Second, interrupt: 2 * time.Second,
			ending: kernel.EndingInterrupted, state: kernel.StateLost, takes: 4 * time.Second, interrupts: 1,
		},
		{
			name: "kernel that takes no interrupt is killed", execute: stubborn, interrupt: time.Second,
			ending: kernel.EndingInterrupted, state: kernel.StateLost, takes: 3 * time.Second, interrupts: 1,
		},
		{
			name: "kernel that takes no timeout is killed", execute: stubborn, timeout: time.Second,
			ending: kernel.EndingTimeout, state: kernel.StateLost, takes: 3 * time.Second, interrupts: 1,
		},
		{
			name: "interrupt waits for the start", interrupt: time.Second,
			execute: func(k *scripted, run Run, sink Sink) error {
				time.Sleep(2 * time.Second)
				return untilInterrupted(k, run, sink)
			},
			ending: kernel.EndingInterrupted, state: kernel.StatePreserved, takes: 2 * time.Second, interrupts: 1,
		},
		{
			name: "kernel that never starts is killed without a signal", interrupt: time.Second,
			execute: func(k *scripted, _ Run, _ Sink) error { <-k.exited; return ErrExited },
			ending:  kernel.EndingInterrupted, state: kernel.StateLost, takes: 3 * time.Second,
		},
		{
			name: "deadline holds though the start never comes", timeout: time.Second,
			execute: func(k *scripted, _ Run, _ Sink) error { <-k.exited; return ErrExited },
			ending:  kernel.EndingTimeout, state: kernel.StateLost, takes: StartPatience + time.Second + kernel.Grace,
		},
		{
			name: "execution that ends well in spite of the signal has ended well", interrupt: time.Second,
			execute: func(k *scripted, _ Run, sink Sink) error {
				sink.Event(started)
				<-k.interrupted
				time.Sleep(time.Second)
				return nil
			},
			ending: kernel.EndingOK, state: kernel.StatePreserved, takes: 2 * time.Second, interrupts: 1,
		},
		{
			name: "error from before the signal is an error", interrupt: time.Second,
			execute: func(k *scripted, _ Run, sink Sink) error {
				sink.Event(started)
				sink.Event(kernel.Event{Type: kernel.TypeError})
				<-k.interrupted
				return nil
			},
			ending: kernel.EndingError, state: kernel.StatePreserved, takes: time.Second, interrupts: 1,
		},
		{
			name: "execution that is over before its deadline is left alone", timeout: time.Second,
			execute: echo, ending: kernel.EndingOK, state: kernel.StatePreserved,
		},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			onBench(t, &scripted{execute: tt.execute}, Config{}, func(t *testing.T, b *bench) {
				c := b.claimed(t)
				start := time.Now()
				c.send(kernel.Request{Op: kernel.OpExecute, ID: "1", TimeoutMS: tt.timeout.Milliseconds()})
				if tt.interrupt > 0 {
					b.conns.Go(func() {
						time.Sleep(tt.interrupt)
						c.send(interrupt)
						c.send(interrupt)
					})
				}
				c.ends("1", tt.ending, tt.state)
				require.Equal(t, tt.takes, time.Since(start))
				synctest.Wait()
				_, interrupts := b.kernel.counts()
				require.Equal(t, tt.interrupts, interrupts)
				if tt.state == kernel.StateLost {
					require.Equal(t, kernel.TypeExited, c.next().Type)
				}
			})
		})
	}
}

func TestKernelThatCannotBeKilledIsGivenUp(t *testing.T) {
	onBench(t, &scripted{execute: stubborn}, Config{}, func(t *testing.T, b *bench) {
		c := b.claimed(t)
		b.kernel.failKills(errors.New("3 are left"))
		c.send(kernel.Request{Op: kernel.OpExecute, ID: "1", TimeoutMS: 1000})
		require.Contains(t, c.ends("1", kernel.EndingTimeout, kernel.StateLost).Value, "3 are left")
		require.Equal(t, kernel.TypeExited, c.next().Type, "so that the container is replaced")
		b.kernel.failKills(nil)
	})
}

func TestInterrupt(t *testing.T) {
	t.Run("takes a queued execution out", func(t *testing.T) {
		onBench(t, &scripted{execute: untilInterrupted}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "one")
			c.execute("2", "two")
			c.next()
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "2"})
			c.ends("2", kernel.EndingInterrupted, kernel.StatePreserved)
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
			c.ends("1", kernel.EndingInterrupted, kernel.StatePreserved)
			require.Equal(t, []string{"one"}, b.kernel.runs)
		})
	})
	t.Run("does nothing to one that is over", func(t *testing.T) {
		onBench(t, &scripted{}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.done()
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
			require.Equal(t, kernel.TypePong, c.ask(kernel.Request{Op: kernel.OpPing}).Type)
			_, interrupts := b.kernel.counts()
			require.Zero(t, interrupts)
		})
	})
	t.Run("is followed by a ping before the next execution only", func(t *testing.T) {
		onBench(t, &scripted{execute: untilInterrupted}, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "")
			c.next()
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
			c.done()
			b.kernel.execute = echo
			c.execute("2", "")
			c.ends("2", kernel.EndingOK, kernel.StatePreserved)
			c.execute("3", "")
			c.ends("3", kernel.EndingOK, kernel.StatePreserved)
			pings, _ := b.kernel.counts()
			require.Equal(t, 1, pings)
		})
	})
	t.Run("kernel that does not answer the ping ends the next execution unrun", func(t *testing.T) {
		k := &scripted{execute: untilInterrupted, pingErr: errors.New("kernel did not answer the ping")}
		onBench(t, k, Config{}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.execute("1", "one")
			c.next()
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
			c.done()
			c.execute("2", "two")
			done := c.ends("2", kernel.EndingCrashed, kernel.StateLost)
			require.Equal(t, "kernel did not answer the ping", done.Value)
			require.Equal(t, []string{"one"}, b.kernel.runs)
		})
	})
}

func TestDeath(t *testing.T) {
	dies := func(exit Exit) func(k *scripted, _ Run, sink Sink) error {
		return func(k *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			time.Sleep(time.Second)
			k.die(exit)
			return ErrExited
		}
	}
	oomAtDeath := func(start time.Time) func() Sample {
		return func() Sample {
			if time.Since(start) >= time.Second {
				return Sample{OOMKills: 1}
			}
			return Sample{}
		}
	}
	cases := []struct {
		name    string
		execute func(k *scripted, _ Run, sink Sink) error
		oom     bool // an OOM kill happens when the kernel dies
		ending  kernel.Ending
		value   string
	}{
		{"exit", dies(Exit{Value: "exit status 0"}), false, kernel.EndingCrashed, "exit status 0"},
		{"crash", dies(Exit{Value: "signal: segmentation fault"}), false, kernel.EndingCrashed, "signal: segmentation fault"},
		{"out of memory", dies(Exit{Value: "signal: killed", Process: "python3, pid 7", Killed: true}), true, kernel.EndingOOM, "out of memory: the kernel (python3, pid 7) was killed"},
		{"killed by itself", dies(Exit{Value: "signal: killed", Killed: true}), false, kernel.EndingCrashed, "signal: killed"},
		{"exit while a child runs out of memory", dies(Exit{Value: "exit status 0"}), true, kernel.EndingCrashed, "exit status 0"},
		{"broken protocol", func(_ *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			time.Sleep(time.Second)
			return errors.New("kernel sent no frame")
		}, false, kernel.EndingCrashed, "kernel sent no frame"},
	}
	for _, tt := range cases {
		t.Run(tt.name+" ends the running and the queued", func(t *testing.T) {
			var meter func() Sample
			cfg := Config{Meter: func() Sample { return meter() }}
			k := &scripted{execute: tt.execute}
			meter = func() Sample { return Sample{} }
			onBench(t, k, cfg, func(t *testing.T, b *bench) {
				c := b.claimed(t)
				if tt.oom {
					meter = oomAtDeath(time.Now())
				}
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
				require.Positive(t, k.kills, "what the kernel has left behind is killed")
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

func TestStop(t *testing.T) {
	onBench(t, &scripted{execute: stubborn}, Config{}, func(t *testing.T, b *bench) {
		c := b.claimed(t)
		c.execute("1", "")
		c.execute("2", "")
		c.next()
		stopped := c.ask(kernel.Request{Op: kernel.OpStop})
		require.Equal(t, kernel.Event{Type: kernel.TypeStopped, Executions: []kernel.ExecutionStatus{
			{ID: "1", Seq: 1, State: kernel.ExecutionRunning}, {ID: "2", State: kernel.ExecutionQueued},
		}}, stopped)
		synctest.Wait()
		require.Equal(t, kernel.TypeStopped, c.ask(kernel.Request{Op: kernel.OpStop}).Type, "no done and no exited came")
		c.execute("3", "")
		require.Equal(t, []string{"3", string(kernel.RefusedDead)}, pair(c.next()))
		hello := b.dial(t).hello
		require.Equal(t, "stopped", hello.Exited)
		require.Equal(t, kernel.ExecutionRunning, hello.Executions[0].State)
	})
}
