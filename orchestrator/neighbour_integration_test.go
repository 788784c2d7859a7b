//go:build integration

package orchestrator_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// TestContextsRunInParallel: each of two sleeps begins before the other ends.
func TestContextsRunInParallel(t *testing.T) {
	w := newWorld(t)
	ids := []string{w.create(t), w.create(t)}
	began := time.Now()
	var running []*orchestrator.Execution
	for _, id := range ids {
		e, err := w.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: "import time\nt = time.time(); time.sleep(2); print(t, time.time())"})
		require.NoError(t, err)
		running = append(running, e)
	}
	var spans [2][2]float64
	for i, e := range running {
		got := collect(t, e)
		require.Equal(t, kernel.EndingOK, got.done.Ending)
		_, err := fmt.Sscan(got.stdout, &spans[i][0], &spans[i][1])
		require.NoError(t, err)
	}
	t.Logf("two sleeps of 2 s took %v", time.Since(began))
	require.Less(t, spans[0][0], spans[1][1])
	require.Less(t, spans[1][0], spans[0][1])
}

// TestNeighbour (A1, A2, A5, A8): while one context does its worst, the other answers, the attacked container's PID 1
// lives, and the attacked context answers again, saying so when its state was lost.
func TestNeighbour(t *testing.T) {
	for name, attack := range map[string]string{
		"A1 fork bomb of a shell":      "!:(){ :|:& };:\nimport time; time.sleep(60)",
		"A2 fork bomb of the kernel":   "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
		"A5 allocation without end":    "a = []\nwhile True: a.append(bytearray(10**7))",
		"A8 a file that fills the tmp": "f = open('/tmp/f', 'wb')\nwhile True: f.write(b'x' * 10**6); f.flush()",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			attacked, neighbour := w.create(t), w.create(t)
			require.Empty(t, w.run(t, attacked, "x = 41").errName)
			require.Empty(t, w.run(t, neighbour, "x = 41").errName)
			idle := w.latency(t, neighbour)

			e, err := w.Execute(t.Context(), orchestrator.ExecuteRequest{Context: attacked, Code: attack})
			require.NoError(t, err)
			busy := w.latency(t, neighbour)
			t.Logf("neighbour's 1+1: idle %v, under attack %v", idle, busy)
			require.Less(t, busy, 2*idle+250*time.Millisecond)
			w.mustRun(t, attacked)

			time.Sleep(2 * time.Second) // the attack at its height
			e.Interrupt()
			asked := time.Now()
			ended := collect(t, e)
			got := w.run(t, attacked, "x + 1")
			t.Logf("%s: ended %s (%s); the next answer (%q, %s, %s) after %v",
				name, ended.done.Ending, ended.done.State, got.text, got.errName, got.done.Ending, time.Since(asked))
			if ended.done.State == kernel.StatePreserved {
				require.Equal(t, "42", got.text)
			} else {
				require.Equal(t, "NameError", got.errName, "fresh state, which the done has said")
			}
			require.Less(t, time.Since(asked), 15*time.Second)
		})
	}
}

// latency is the median time of the neighbour's x+1.
func (w *world) latency(t *testing.T, id string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 15 {
		began := time.Now()
		require.Equal(t, "42", w.run(t, id, "x + 1").text)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// mustRun holds that the context's container runs, and so its PID 1.
func (w *world) mustRun(t *testing.T, id string) {
	t.Helper()
	cc, err := w.Get(t.Context(), id)
	require.NoError(t, err)
	containers, err := w.engine.List(t.Context())
	require.NoError(t, err)
	i := slices.IndexFunc(containers, func(c orchestrator.Container) bool { return c.ID == cc.Container })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, orchestrator.ContainerRunning, containers[i].State)
}

// TestQuotasOfOneUserDoNotBindAnother (A19): inotify instances are counted a uid across the host.
func TestQuotasOfOneUserDoNotBindAnother(t *testing.T) {
	w := newWorld(t)
	const take = "import ctypes\nlibc = ctypes.CDLL(None)\nfds = [libc.inotify_init() for _ in range(%d)]\nprint(sum(fd >= 0 for fd in fds))\n"
	const greedy, other = 1<<30 + 4711, 1<<30 + 4712

	holding, release := context.WithCancel(t.Context())
	taken := make(chan string, 1)
	var holder sync.WaitGroup
	defer holder.Wait()
	defer release()
	holder.Go(func() {
		w.once(holding, greedy, fmt.Sprintf(take, 200)+"import time; time.sleep(60)", taken)
	})
	require.Equal(t, "128\n", next(t, taken), "the positive control: the kernel's quota of a uid is used up")

	for uid, want := range map[int]string{other: "1\n", greedy: "0\n"} {
		out := make(chan string, 1)
		w.once(t.Context(), uid, fmt.Sprintf(take, 1), out)
		require.Equal(t, want, next(t, out), "uid %d", uid)
	}
}

// once runs code in a container of its own under the given uid and tells its first output.
func (w *world) once(ctx context.Context, uid int, code string, out chan<- string) {
	req := orchestrator.OnceRequest{Image: w.image, Code: code, UIDs: orchestrator.UIDRange{First: uid, Count: 1}}
	err := orchestrator.RunOnce(ctx, w.engine, req, func(ev orchestrator.Event) error {
		if ev.Type == kernel.TypeStdout {
			out <- ev.Text
		}
		return nil
	})
	if err != nil {
		out <- err.Error()
	}
}

func next(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case got := <-c:
		return got
	case <-time.After(patience):
		t.Fatal("nothing came")
		return ""
	}
}
