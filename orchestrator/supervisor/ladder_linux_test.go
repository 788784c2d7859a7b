package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// live runs a supervisor with a kernel that is a process of its own.
func live(t *testing.T) *client {
	t.Helper()
	m := newMachine(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	b := &bench{Supervisor: New(Config{Adapter: m.native}), serve: ctx, conns: &sync.WaitGroup{}}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		b.conns.Wait()
		require.NoError(t, <-ended)
	})
	c := b.claimed(t)
	require.NoError(t, c.stream.SetDeadline(time.Now().Add(2*time.Minute)))
	return c
}

// over reads until an execution's done, and acknowledges what comes before it, as a reader does.
func (c *client) over() (done kernel.Event, text string) {
	c.t.Helper()
	for {
		ev := c.next()
		if ev.Type == kernel.TypeDone {
			return ev, text
		}
		text += ev.Text
		c.send(kernel.Request{Op: kernel.OpAck, ID: ev.ID, Seq: ev.Seq})
	}
}

// printed reads until an execution has printed a text.
func (c *client) printed(id, text string) {
	c.t.Helper()
	for all := ""; !strings.Contains(all, text); {
		ev := c.next()
		require.NotEqual(c.t, kernel.TypeDone, ev.Type, "%+v", ev)
		if ev.ID == id {
			all += ev.Text
		}
	}
}

// TestLadderOfAProcess climbs it against what a process can do.
func TestLadderOfAProcess(t *testing.T) {
	const (
		preserved = kernel.StatePreserved
		lost      = kernel.StateLost
		either    = kernel.StateUnknown
	)
	cases := []struct {
		name, before, code string // before: done by the time that the interrupt is sent
		state              kernel.State
	}{
		{"loop", "", "while True: pass", preserved},
		{"sleep", "", "time.sleep(600)", preserved},
		{"lock", "l = threading.Lock(); l.acquire()", "l.acquire()", preserved},
		{"read that blocks", "", "os.read(os.pipe()[0], 1)", preserved},
		{"wait for a thread", "t = threading.Thread(target=time.sleep, args=(1,)); t.start()", "t.join(); time.sleep(600)", preserved},
		{"child", "", "subprocess.run(['sleep', '600'])", preserved},
		{"child in a session of its own", "", "subprocess.run(['sleep', '600'], start_new_session=True)", preserved},
		{"child that is deaf", "", "subprocess.run(['sh', '-c', 'trap \"\" INT; sleep 600'])", preserved},
		{"flood of output", "", "while True: print('x' * 100)", preserved},
		{"C that takes no signal", "", "sum(itertools.repeat(0))", lost},
		{"signal ignored", "signal.signal(signal.SIGINT, signal.SIG_IGN)", "while True: pass", lost},
		{"signal blocked", "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))", "while True: pass", lost},
		{"signal swallowed", "signal.signal(signal.SIGINT, lambda *_: None)", "while True: time.sleep(1)", lost},
		{"stopped by itself", "", "os.kill(os.getpid(), signal.SIGSTOP)", lost},
		{"group stopped by itself", "", "os.kill(0, signal.SIGSTOP)", lost},
		{"death by the signal", "signal.signal(signal.SIGINT, signal.SIG_DFL)", "while True: pass", lost},
		{"flood of forged frames", "frame = b'{\"type\":\"new\",\"x\":\"' + b'x' * 3_000_000 + b'\"}\\n'", "while True: raw(frame)", either},
	}
	for i, tt := range cases {
		cause := []kernel.Ending{kernel.EndingInterrupted, kernel.EndingTimeout}[i%2]
		if tt.before != "" || tt.state != preserved {
			cause = kernel.EndingInterrupted // the deadline of a slow machine could come before the statement
		}
		t.Run(fmt.Sprintf("%s, %s", tt.name, cause), func(t *testing.T) {
			c := live(t)
			c.execute("0", "import itertools, signal, subprocess, threading, time; x = 41")
			c.over()
			req := kernel.Request{Op: kernel.OpExecute, ID: "1", Code: tt.before + "\nprint('up', flush=True)\n" + tt.code}
			if cause == kernel.EndingTimeout {
				req.TimeoutMS = 300
			}
			c.send(req)
			if cause == kernel.EndingInterrupted {
				c.printed("1", "up")
				time.Sleep(300 * time.Millisecond) // until it is in the statement that is meant
				c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
			}
			done, _ := c.over()
			require.Equal(t, []any{"1", cause}, []any{done.ID, done.Ending}, done.Value)
			if tt.state != either {
				require.Equal(t, tt.state, done.State, done.Value)
			}
			if done.State == lost {
				require.NotEmpty(t, done.Value)
				require.Equal(t, kernel.TypeExited, c.next().Type)
				return
			}
			c.execute("2", "print(x + 1)")
			done, text := c.over()
			require.Equal(t, []any{"2", kernel.EndingOK, "42\n"}, []any{done.ID, done.Ending, text})
		})
	}
}

// TestInterruptRacesOfAProcess interrupts executions of a process at all moments.
func TestInterruptRacesOfAProcess(t *testing.T) {
	c := live(t)
	c.execute("begin", "x, n = 41, 0")
	c.over()
	codes := []string{"n += 1", "print(x)", "import time; time.sleep(0.002)", "import subprocess; subprocess.run(['true'])"}
	for i := range 400 {
		id := fmt.Sprint(i)
		c.execute(id, codes[i%len(codes)])
		for range 1 + i%2 {
			time.Sleep(time.Duration(rand.Int64N(int64(3 * time.Millisecond))))
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: id})
		}
		c.execute(id+" next", "print(x + 1)")
		done, _ := c.over()
		require.Equal(t, id, done.ID)
		require.Contains(t, []kernel.Ending{kernel.EndingOK, kernel.EndingInterrupted}, done.Ending, done.Value)
		done, text := c.over()
		require.Equal(t, []any{id + " next", kernel.EndingOK, "42\n"}, []any{done.ID, done.Ending, text})
	}
}
