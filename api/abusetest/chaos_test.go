//go:build integration

package abusetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chaos is a server that is killed again and again, and what it has at stake: contexts that nobody asks anything of, and
// so may lose nothing.
type chaos struct {
	*server
	idle   []*stake
	faults int            // how often the server was killed
	lost   int            // how many contexts have lost what nobody asked them to
	told   map[string]int // how often a context has said since the last fault that its state is lost
}

// stake is a context with x = 41, and what must stay as it is.
type stake struct {
	id         string
	generation int
	box        *box
	kernel     int // the host's pid of the interpreter
	fds        int // that PID 1 has open
}

// operations is how many creations, restarts and removals are interrupted: a share of those of a long run, which sets
// CUBBY_ABUSE_OPERATIONS.
func operations(t *testing.T) int {
	t.Helper()
	text, set := os.LookupEnv("CUBBY_ABUSE_OPERATIONS")
	if !set {
		return 20
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// TestChaos kills the server with no chance to do anything, at random moments of all that it does.
func TestChaos(t *testing.T) {
	const idle = 20
	c := &chaos{server: startServer(t), told: map[string]int{}}
	for range idle {
		c.idle = append(c.idle, c.stake(t, c.create(t)))
	}
	t.Run("F1, F5 killed fifty times under a counter, with twenty idle contexts", c.killCounting)
	t.Run("F4 killed while it starts", c.killStarting)
	for len(c.idle) > 2 { // the neighbours of what follows
		c.remove(t, c.idle[0].id)
		c.idle = c.idle[1:]
	}
	t.Run("F2, F3 killed while it creates, restarts and removes", c.killActing)
	t.Logf("contexts lost per 1,000 faults: %d (%d of %d faults)", 1000*c.lost/max(1, c.faults), c.lost, c.faults)
	require.Zero(t, c.lost)
	require.GreaterOrEqual(t, c.faults, 50)
}

// stake gives a context its variable and notes what it has.
func (c *chaos) stake(t *testing.T, id string) *stake {
	t.Helper()
	got := c.run(t, id, "x = 41")
	require.Equal(t, "ok", got.ending, "%+v", got)
	b := c.container(t, id)
	return &stake{id: id, generation: got.generation, box: b, kernel: b.kernel(t).pid, fds: b.openFiles(t)}
}

// openFiles is how many descriptors PID 1 of a container has open.
func (b *box) openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir(procFile(b.pid, "fd"))
	require.NoError(t, err)
	return len(fds)
}

// fault kills the server within a time, at random, and waits until it has gone.
func (c *chaos) fault(t *testing.T, within time.Duration) {
	t.Helper()
	time.Sleep(rand.N(within))
	c.kill(t)
	c.faults++
}

// audit holds that a context that nobody asked anything of is what it was.
func (c *chaos) audit(t *testing.T, stakes ...*stake) {
	t.Helper()
	for _, s := range stakes {
		got := c.run(t, s.id, "x + 1")
		if got.text != "42" || got.generation != s.generation || s.box.kernel(t).pid != s.kernel {
			c.lost++
			t.Errorf("context %s is not what it was: %+v", s.id, got)
		}
	}
}

// killCounting kills the server fifty times while code counts. A client that resumes sees every number once; contexts,
// containers and servers hold no more than before.
func (c *chaos) killCounting(t *testing.T) {
	const rounds, kills = 5, 10
	took := make([]time.Duration, 0, rounds*kills)
	for range rounds {
		s := c.stake(t, c.create(t))
		counter := c.count(t, s.id, 200+rand.IntN(1200))
		for range kills {
			c.fault(t, time.Second)
			began := time.Now()
			c.start(t)
			took = append(took, time.Since(began))
			counter.requireSound(t)
		}
		counter.end(t)
		c.audit(t, s)
		c.remove(t, s.id)
	}
	c.audit(t, c.idle...)
	for _, s := range c.idle {
		found := s.box.inspect(t)
		require.LessOrEqual(t, len(found.ExecIDs), 2, "execs of %s", s.id)
		require.InDelta(t, s.fds, s.box.openFiles(t), 5, "descriptors of PID 1")
		require.Eventually(t, func() bool { return len(s.box.bridges(t)) == 1 }, patience, probeEvery)
	}
	t.Logf("start with %d contexts, until it answers: median %v, slowest %v", len(c.idle)+1, median(took), slowest(took))
}

// killStarting kills a server that has only begun to take its contexts over, many times, while code counts.
func (c *chaos) killStarting(t *testing.T) {
	const kills = 20
	s := c.stake(t, c.create(t))
	counter := c.count(t, s.id, 1000)
	began := time.Now()
	c.crash(t)
	c.faults++
	within := time.Since(began) * 5 / 4
	for range kills {
		c.kill(t)
		c.launch(t)
		c.fault(t, within)
	}
	c.start(t)
	counter.end(t)
	c.audit(t, append(c.idle, s)...)
	c.remove(t, s.id)
	c.requireNothingElse(t)
}
