//go:build integration

package abusetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
)

// atOnce is how many operations one kill interrupts.
const atOnce = 10

// act is an operation that a kill may have interrupted.
type act struct {
	*stake
	done bool // the server said that it was carried out
}

// killActing kills the server while it creates, restarts and removes. What was told to be done is done; of the rest each
// context is as it was, as it was to be, or honestly gone; and the engine holds nothing that no record knows.
func (c *chaos) killActing(t *testing.T) {
	for range (operations(t) + atOnce - 1) / atOnce {
		acts := c.killCreating(t)
		c.killRestarting(t, acts)
		c.killRemoving(t, acts)
	}
}

// storm begins operations within a time, kills the server at some moment of it, and starts it again.
func (c *chaos) storm(t *testing.T, within time.Duration, acts []*act, do func(ctx context.Context, a *act) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var acting sync.WaitGroup
	for _, a := range acts {
		a.done = false
		acting.Go(func() {
			time.Sleep(rand.N(within))
			a.done = do(ctx, a) == nil
		})
	}
	c.fault(t, 3*within)
	acting.Wait()
	c.start(t)
	c.told = map[string]int{}
	c.audit(t, c.idle...)
	c.requireNothingElse(t)
}

// killCreating interrupts creations, and then brings their number up. All of them have a stake.
func (c *chaos) killCreating(t *testing.T) []*act {
	t.Helper()
	acts := make([]*act, atOnce)
	for i := range acts {
		acts[i] = &act{stake: &stake{}}
	}
	c.storm(t, 2*time.Second, acts, func(ctx context.Context, a *act) error {
		cc, err := c.client.Create(ctx, wire.CreateContext{})
		a.id = cc.ID
		return err
	})
	listed := c.others(t)
	for _, a := range acts {
		if a.done {
			require.Contains(t, listed, a.id, "it was created, and is not there")
		}
	}
	for len(listed) < len(acts) {
		listed = append(listed, c.create(t))
	}
	for i, a := range acts {
		a.stake = c.stake(t, listed[i])
	}
	return acts
}

// others are the contexts that are listed beside the idle ones.
func (c *chaos) others(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(c.ids(t), func(id string) bool {
		return slices.ContainsFunc(c.idle, func(s *stake) bool { return s.id == id })
	})
}

// killRestarting interrupts restarts: each context has its variables, or a higher generation and none.
func (c *chaos) killRestarting(t *testing.T, acts []*act) {
	t.Helper()
	c.storm(t, 2*time.Second, acts, func(ctx context.Context, a *act) error { return c.client.Restart(ctx, a.id) })
	listed := c.ids(t)
	kept, told := 0, 0
	for _, a := range acts {
		require.Contains(t, listed, a.id)
		got := c.run(t, a.id, "x + 1")
		require.Equal(t, "preserved", got.state, "a loss that was told, or that nobody knew of: %+v", got)
		require.LessOrEqual(t, c.told[a.id], 1, "how often its loss was told")
		told += c.told[a.id]
		if got.generation == a.generation {
			require.False(t, a.done, "it was restarted, and is not")
			require.Equal(t, "42", got.text, "fresh state in the old generation: %+v", got)
			kept++
		} else {
			require.Equal(t, "NameError", got.errName, "old state in a new generation: %+v", got)
		}
		a.stake = c.stake(t, a.id)
	}
	t.Logf("of %d interrupted restarts %d were not carried out, of %d a loss was told", len(acts), kept, told)
}

// killRemoving interrupts removals: each context is gone, or has all that it had. Who asks again finds it removed.
func (c *chaos) killRemoving(t *testing.T, acts []*act) {
	t.Helper()
	c.storm(t, time.Second, acts, func(ctx context.Context, a *act) error { return c.client.Remove(ctx, a.id) })
	listed := c.ids(t)
	left := 0
	for _, a := range acts {
		if slices.Contains(listed, a.id) {
			left++
			require.False(t, a.done, "it was removed, and is there")
			c.audit(t, a.stake)
			c.remove(t, a.id)
			continue
		}
		require.ErrorIs(t, c.client.Remove(patient(t), a.id), client.ErrNotFound)
		a.box.requireGone(t)
	}
	require.Empty(t, c.others(t))
	c.requireNothingElse(t)
	t.Logf("of %d interrupted removals %d had not begun", len(acts), left)
}

// requireNothingElse holds that every context that is listed answers, that it has a container of its own, and that the
// engine holds no other, once what the server found has been cleared away.
func (c *chaos) requireNothingElse(t *testing.T) {
	t.Helper()
	var hosts []string
	for _, id := range c.ids(t) {
		got := c.run(t, id, "__import__('socket').gethostname()")
		if got.state == "lost" {
			c.told[id]++
			got = c.run(t, id, "__import__('socket').gethostname()")
		}
		require.Equal(t, "ok", got.ending, "%+v", got)
		hosts = append(hosts, got.text)
	}
	slices.Sort(hosts)
	var found []string
	require.Eventually(t, func() bool {
		containers, _ := c.onEngine(t)
		found = found[:0]
		for _, id := range containers {
			found = append(found, id[:12])
		}
		return slices.Equal(hosts, found)
	}, patience, probeEvery, "contexts live in %v", hosts)
}
