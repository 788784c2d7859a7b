package supervisor

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// racer is a kernel whose executions start and end after random times, and end early when a signal comes. A signal that
// is still pending at the beginning of an execution was meant for another.
func racer(random *rand.Rand, stray *atomic.Int64) func(*scripted, Run, Sink) error {
	return func(k *scripted, _ Run, sink Sink) error {
		stray.Add(int64(len(k.interrupted)))
		time.Sleep(time.Duration(random.Int64N(int64(2 * time.Millisecond))))
		sink.Event(kernel.Event{Type: kernel.TypeStarted})
		select {
		case <-time.After(time.Duration(random.Int64N(int64(4 * time.Millisecond)))):
			sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: "whole"})
		case <-k.interrupted:
			sink.Event(kernel.Event{Type: kernel.TypeError, Name: "KeyboardInterrupt"})
		}
		time.Sleep(time.Duration(random.Int64N(int64(time.Millisecond)))) // takes no signal any more
		return nil
	}
}

// ledger counts what is told of executions.
type ledger struct {
	mu      sync.Mutex
	endings map[string][]kernel.Ending
	whole   map[string]bool
	over    map[string]chan struct{}
}

// newLedger reads all that a client is told from now on.
func newLedger(c *client, reading *sync.WaitGroup) *ledger {
	l := &ledger{endings: map[string][]kernel.Ending{}, whole: map[string]bool{}, over: map[string]chan struct{}{}}
	reading.Go(func() {
		for {
			var ev kernel.Event
			if c.frames.Read(&ev) != nil {
				return
			}
			l.mu.Lock()
			switch ev.Type {
			case kernel.TypeStdout:
				l.whole[ev.ID] = true
			case kernel.TypeDone:
				if l.endings[ev.ID] = append(l.endings[ev.ID], ev.Ending); len(l.endings[ev.ID]) == 1 {
					close(l.overLocked(ev.ID))
				}
			}
			l.mu.Unlock()
		}
	})
	return l
}

// overLocked returns what is closed by an execution's first done.
func (l *ledger) overLocked(id string) chan struct{} {
	if l.over[id] == nil {
		l.over[id] = make(chan struct{})
	}
	return l.over[id]
}

// wait waits for an execution's done.
func (l *ledger) wait(id string) {
	l.mu.Lock()
	over := l.overLocked(id)
	l.mu.Unlock()
	<-over
}

// TestInterruptRaces interrupts executions at all moments: before they have started, when they end, when they are over,
// while they wait, and several times.
func TestInterruptRaces(t *testing.T) {
	const rounds = 2000
	random := rand.New(rand.NewPCG(1, 2))
	var stray atomic.Int64
	onBench(t, &scripted{execute: racer(random, &stray)}, Config{}, func(t *testing.T, b *bench) {
		c := b.claimed(t)
		l := newLedger(c, b.conns)
		asked := map[string]bool{}
		interrupt := func(id string) {
			asked[id] = true
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: id})
		}
		id := func(i int) string { return fmt.Sprint(i) }
		for i := 0; i < rounds; i += 2 {
			first, second := id(i), id(i+1)
			c.execute(first, "")
			c.execute(second, "")
			switch i / 2 % 6 {
			case 0: // at once
				interrupt(first)
			case 1: // around its start and its end
				time.Sleep(time.Duration(rand.Int64N(int64(6 * time.Millisecond))))
				interrupt(first)
			case 2: // the one that waits, or does no longer
				time.Sleep(time.Duration(rand.Int64N(int64(6 * time.Millisecond))))
				interrupt(second)
			case 3: // again and again
				for range 5 {
					interrupt(first)
					time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
				}
			case 4: // when it is over
				l.wait(first)
				interrupt(first)
			case 5: // nobody is interrupted
			}
			l.wait(first)
			l.wait(second)
		}
		synctest.Wait()
		require.Zero(t, stray.Load(), "a signal that comes late hits nobody")
		l.mu.Lock()
		defer l.mu.Unlock()
		interrupted := 0
		for i := range rounds {
			require.Len(t, l.endings[id(i)], 1, "execution %d", i)
			switch l.endings[id(i)][0] {
			case kernel.EndingOK:
				require.True(t, l.whole[id(i)])
			case kernel.EndingInterrupted:
				require.True(t, asked[id(i)], "execution %d", i)
				require.False(t, l.whole[id(i)])
				interrupted++
			default:
				require.Fail(t, "unexpected ending", l.endings[id(i)][0])
			}
		}
		require.Greater(t, interrupted, rounds/10)
		require.NoError(t, c.stream.Close())
	})
}
