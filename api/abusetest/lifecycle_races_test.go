//go:build integration

package abusetest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestB26ConcurrentExecutes: fifty executions of one context run one at a time, in the order in which they were accepted,
// and none has a word of another's.
func TestB26ConcurrentExecutes(t *testing.T) {
	a := newArena(t, startServer(t))
	const code = "import os, sys, time\nfor i in range(20):\n    print('token %[1]d'); os.write(2, b'token %[1]d\\n')\n    if i %% 7 == 0: time.sleep(0.001)\n'token %[1]d'"
	check := func(t *testing.T, n int, got outcome) {
		t.Helper()
		token := fmt.Sprintf("token %d", n)
		require.Equal(t, "ok", got.ending, "%+v", got)
		require.Equal(t, strings.Repeat(token+"\n", 20), got.stdout)
		require.Equal(t, strings.Repeat(token+"\n", 20), got.stderr)
		require.Equal(t, token, got.text)
	}
	t.Run("posted at once", func(t *testing.T) {
		stop := a.watch(t)
		got := make([]outcome, 50)
		failures := make([]error, len(got))
		var posting sync.WaitGroup
		for n := range got {
			posting.Go(func() {
				st, err := a.execute(t.Context(), request(a.attacked, fmt.Sprintf(code, n)))
				if err == nil {
					defer st.leave()
					got[n], err = st.all()
				}
				failures[n] = err
			})
		}
		posting.Wait()
		counts := map[int]bool{}
		for n := range got {
			require.NoError(t, failures[n])
			check(t, n, got[n])
			counts[got[n].count] = true
		}
		require.Len(t, counts, len(got), "each has a count of its own")
		stop()
	})
	t.Run("posted one after the other", func(t *testing.T) {
		stop := a.watch(t)
		first := a.begin(t, a.attacked, "import time; time.sleep(1)")
		var streams []*stream
		for n := range 50 {
			streams = append(streams, a.begin(t, a.attacked, fmt.Sprintf(code, n)))
		}
		before := first.wait(t).count
		for n, st := range streams {
			got := st.wait(t)
			check(t, n, got)
			require.Equal(t, before+1+n, got.count, "first come, first served")
		}
		stop()
	})
	t.Run("more than may wait are refused at once", func(t *testing.T) {
		stop := a.watch(t)
		first := a.begin(t, a.attacked, "import time; time.sleep(60)")
		first.started(t)
		accepted := 0
		for ; accepted < 200; accepted++ {
			st, err := a.execute(t.Context(), request(a.attacked, "1"))
			if err != nil {
				require.ErrorContains(t, err, strconv.Itoa(http.StatusTooManyRequests))
				break
			}
			defer st.leave()
		}
		require.Less(t, accepted, 200)
		a.interrupt(t, a.attacked)
		require.Equal(t, "interrupted", first.wait(t).ending)
		a.settle(t, first.got)
		stop()
	})
}

// cells end in ways that differ in where an interrupt meets them.
var cells = []string{"1", "print(1)", "import time; time.sleep(0.02)", "import asyncio; await asyncio.sleep(0.02)", "!sleep 0.02", "for i in range(200_000): pass"}

// TestB27CancelRaces: an execution that is cancelled at its beginning, at its end, twice, or while another runs has one
// ending, its context keeps its variables, and no interrupt hits the execution after it.
func TestB27CancelRaces(t *testing.T) {
	a := newArena(t, startServer(t))
	stop := a.watch(t)
	endings := map[string]int{}
	var usual time.Duration // of the cell that is being cancelled
	requireCancelled := func(t *testing.T, got outcome) {
		t.Helper()
		endings[got.ending]++
		require.Contains(t, []string{"ok", "interrupted"}, got.ending, "%+v", got)
		require.Equal(t, "preserved", got.state)
		require.Equal(t, got.ending == "interrupted", got.errName == "KeyboardInterrupt", "%+v", got)
		next := a.run(t, a.attacked, "x + 1")
		require.Equal(t, "ok", next.ending, "a late interrupt: %+v", next)
		require.Equal(t, "42", next.text)
	}
	for _, c := range []struct {
		name   string
		cancel func(t *testing.T, st *stream, i int)
	}{
		{"at once", func(t *testing.T, _ *stream, _ int) { a.interrupt(t, a.attacked) }},
		{"1 ms later", func(t *testing.T, _ *stream, _ int) { time.Sleep(time.Millisecond); a.interrupt(t, a.attacked) }},
		{"when it starts", func(t *testing.T, st *stream, _ int) { st.started(t); a.interrupt(t, a.attacked) }},
		{"around its end", func(t *testing.T, st *stream, i int) {
			time.Sleep(time.Until(st.began.Add(usual + time.Duration(i%9-4)*500*time.Microsecond)))
			a.interrupt(t, a.attacked)
		}},
		{"twice", func(t *testing.T, _ *stream, i int) {
			time.Sleep(time.Duration(i%4) * time.Millisecond)
			a.interrupt(t, a.attacked)
			a.interrupt(t, a.attacked)
		}},
		{"twice at the same time", func(t *testing.T, _ *stream, _ int) {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() { _ = a.client.Interrupt(t.Context(), a.attacked) })
			}
			both.Wait()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range 60 {
				cell := cells[i%len(cells)]
				if i < len(cells) || c.name == "around its end" {
					usual = a.run(t, a.attacked, cell).took
				}
				st := a.begin(t, a.attacked, cell)
				c.cancel(t, st, i)
				requireCancelled(t, st.wait(t))
			}
		})
	}
	stop()
	t.Logf("endings: %v", endings)
	require.Greater(t, endings["ok"], 20, "the control: some were too late")
	require.Greater(t, endings["interrupted"], 20, "the control: some were in time")
}

// TestB27CancelOthers: what is cancelled beside an execution, by a client's leaving or by its id, leaves it alone.
func TestB27CancelOthers(t *testing.T) {
	a := newArena(t, startServer(t))
	stop := a.watch(t)
	t.Run("by its client's leaving", func(t *testing.T) {
		for i := range 60 {
			st := a.begin(t, a.attacked, cells[i%len(cells)])
			time.Sleep(time.Duration(i%6) * 4 * time.Millisecond)
			st.leave()
			next := a.run(t, a.attacked, "x + 1")
			require.Equal(t, "ok", next.ending, "%+v", next)
			require.Equal(t, "42", next.text)
		}
	})
	t.Run("another that waits", func(t *testing.T) {
		for range 10 {
			running := a.begin(t, a.attacked, "import os, time; ran = False\nwhile not os.path.exists('go'): time.sleep(0.001)\nos.remove('go'); 'whole'")
			waiting := a.begin(t, a.attacked, "ran = True")
			waiting.leave()
			require.Eventually(t, func() bool { return a.logged(t, waiting.executionID) }, patience, time.Millisecond, "its request is over")
			require.Equal(t, "ok", a.run(t, a.neighbour, "open('go', 'w').close()").ending)
			got := running.wait(t)
			require.Equal(t, "ok", got.ending, "%+v", got)
			require.Equal(t, "whole", got.text)
			require.Equal(t, "False", a.run(t, a.attacked, "ran").text, "what was cancelled before its turn does not run")
		}
	})
	t.Run("another by its id", func(t *testing.T) {
		over := a.begin(t, a.attacked, "1")
		require.Equal(t, "ok", over.wait(t).ending)
		for range 20 {
			running := a.begin(t, a.attacked, "import time; time.sleep(0.02); ran = False\n'whole'")
			waiting := a.begin(t, a.attacked, "ran = True")
			last := a.begin(t, a.attacked, "'last'")
			for _, id := range []string{over.executionID, waiting.executionID, waiting.executionID} {
				require.NoError(t, a.client.InterruptExecution(t.Context(), a.attacked, id))
			}
			require.Error(t, a.client.InterruptExecution(t.Context(), a.neighbour, running.executionID), "it is no execution of that context")
			require.Equal(t, "whole", running.wait(t).text)
			require.Contains(t, []string{"interrupted", "ok"}, waiting.wait(t).ending)
			require.Equal(t, "last", last.wait(t).text)
			require.Equal(t, strconv.FormatBool(waiting.got.ending == "ok"), strings.ToLower(a.run(t, a.attacked, "ran").text))
		}
	})
	t.Run("all that wait", func(t *testing.T) {
		for range 10 {
			var all []*stream
			for range 5 {
				all = append(all, a.begin(t, a.attacked, "import time; time.sleep(10)"))
			}
			a.interrupt(t, a.attacked)
			for _, st := range all {
				require.Equal(t, "interrupted", st.wait(t).ending)
			}
			require.Equal(t, "42", a.run(t, a.attacked, "x + 1").text)
		}
	})
	stop()
}

// logged reports whether the server's log names an execution, which it does when the request is over.
func (s *server) logged(t *testing.T, execution string) bool {
	t.Helper()
	written, err := os.ReadFile(s.log)
	require.NoError(t, err)
	return bytes.Contains(written, []byte(execution))
}

// TestB28InterruptLands: an interrupt ends what the main thread does, many times over and with the neighbours busy, and
// what it cannot end is killed, which is said.
func TestB28InterruptLands(t *testing.T) {
	a := newArena(t, startServer(t))
	busy := a.create(t)
	load := a.begin(t, busy, "while True: pass")
	load.started(t)
	for _, c := range []struct {
		name, code, state string
		times             int
	}{
		{"sleep", "import time; time.sleep(60)", "preserved", 20},
		{"a lock", "import threading; l = threading.Lock(); l.acquire(); l.acquire()", "preserved", 20},
		{"the end of a thread", "import threading, time; t = threading.Thread(target=time.sleep, args=(60,), daemon=True); t.start(); t.join()", "preserved", 10},
		{"an await", "import asyncio; await asyncio.sleep(60)", "preserved", 20},
		{"a C call that waits", "import ctypes; ctypes.CDLL(None).sleep(60)", "preserved", 10},
		{"a C call that waits under the lock", "import ctypes; ctypes.PyDLL(None).sleep(60)", "preserved", 10},
		{"a loop in Python", "while True: pass", "preserved", 20},
		{"a command", "!sleep 60", "preserved", 10},
		{"a command that takes no interrupt", "import subprocess; subprocess.run(['sh', '-c', \"trap '' INT; sleep 60\"])", "preserved", 5},
		{"a child with SIG_IGN inherited", "import signal, subprocess\nold = signal.signal(signal.SIGINT, signal.SIG_IGN)\np = subprocess.Popen(['sleep', '60']); signal.signal(signal.SIGINT, old)\np.wait()", "preserved", 5},
		{"ignored by an earlier execution", "import time; time.sleep(60)", "preserved", 10},
		{"a C call that computes", "import itertools\ndef first():\n    print('on')\n    yield 0\nsum(itertools.chain(first(), itertools.repeat(0)))", "lost", 1},
		{"ignored by this execution", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on')\nwhile True: pass", "lost", 1},
		{"caught by the code", "while True:\n    try:\n        print('on')\n        while True: pass\n    except BaseException: pass", "lost", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var slowest time.Duration
			kept := 0
			a.again(t)
			for i := range c.times {
				if c.name == "ignored by an earlier execution" {
					require.Equal(t, "ok", a.run(t, a.attacked, "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]); None").ending)
				}
				st := a.begin(t, a.attacked, c.code)
				st.started(t)
				if strings.Contains(c.code, "print('on')") {
					st.until(t, func(o outcome) bool { return o.stdout != "" })
					time.Sleep(300 * time.Millisecond) // until it computes again
				}
				time.Sleep(time.Duration(i%5) * 20 * time.Millisecond)
				asked := time.Now()
				a.interrupt(t, a.attacked)
				got := st.wait(t)
				slowest = max(slowest, time.Since(asked))
				require.Equal(t, "interrupted", got.ending, "%+v", got)
				if got.state == "preserved" {
					kept++
				}
				require.Equal(t, "KeyboardInterrupt", got.errName)
				if a.settle(t, got); got.state == "lost" {
					a.again(t)
				}
			}
			t.Logf("slowest of %d: %v; state was kept %d times", c.times, slowest, kept)
			if c.state == "lost" {
				require.Zero(t, kept)
			} else { // a signal that comes just before a call into C is seen only after it: then force is what ends the call
				require.GreaterOrEqual(t, kept, c.times/2)
			}
		})
	}
	require.Equal(t, "interrupted", func() string { a.interrupt(t, busy); return load.wait(t).ending }())
}
