package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

const (
	// parallelAdoptions is how many containers are looked into at once.
	parallelAdoptions = 8
	// askEvery is the pause before a container that did not answer is asked again, askTries how often one is that runs.
	askEvery = time.Second
	askTries = 10
)

// claimant is a container that runs and says which context it serves.
type claimant struct {
	Container
	conn   *kernel.Conn
	events *relay
}

// relay is the handler of a connection whose session is not known yet. What arrives before is that the kernel has died
// since the hello; a supervisor sends an execution's events only to a connection that asked for them.
type relay struct {
	mu    sync.Mutex
	to    func(Event)
	early []Event
}

func (r *relay) handle(ev Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil {
		r.early = append(r.early, ev)
		return
	}
	r.to(ev)
}

// pass hands over what has come and what will.
func (r *relay) pass(to func(Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
	for _, ev := range r.early {
		to(ev)
	}
	r.early = nil
}

// dismiss closes the connections of containers that serve no context any more, and removes them.
func (m *Manager) dismiss(claimants []claimant) {
	for _, c := range claimants {
		_ = c.conn.Close()
		m.removeLater(c.ID)
	}
}

// interview asks every container that runs which context it serves. It returns the answers by context, and the containers
// that may give one later: those that are paused, or that took no bridge.
func (m *Manager) interview(ctx context.Context, containers []Container) (claims map[string][]claimant, silent []Container) {
	var (
		mu     sync.Mutex
		places = make(chan struct{}, parallelAdoptions)
		asking sync.WaitGroup
	)
	claims = map[string][]claimant{}
	for _, c := range containers {
		if c.Finished || c.State == ContainerExited {
			continue
		}
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			found, err := m.ask(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				m.log.Warn("container does not answer", "container", c.Name, "error", err)
				silent = append(silent, c)
			case found != nil:
				id := found.conn.Hello().Meta["id"]
				claims[id] = append(claims[id], *found)
			}
		})
	}
	asking.Wait()
	return claims, silent
}

// ask asks a container which context it serves. One that serves none of ours is nil.
func (m *Manager) ask(ctx context.Context, c Container) (*claimant, error) {
	if c.State != ContainerRunning {
		return nil, fmt.Errorf("container %s is %s: %w", c.Name, c.State, ErrConflict)
	}
	ctx, cancel := context.WithTimeout(ctx, attachPatience)
	defer cancel()
	events := &relay{}
	conn, err := connect(ctx, m.Engine, c.ID, events.handle)
	if err != nil {
		return nil, err
	}
	if hello := conn.Hello(); !hello.Claimed || hello.Meta["instance"] != m.Store.Instance() {
		return nil, conn.Close()
	}
	return &claimant{Container: c, conn: conn, events: events}, nil
}

// askAgain waits for the answer of a container that no record names, until it is gone. Whoever answers nothing although it
// runs is given up after some tries, for the next start: it may be no supervisor that this program understands.
func (a *adoption) askAgain(ctx context.Context, c Container) {
	for tries := 0; tries < askTries; {
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return
		}
		found, err := a.m.find(ctx, c.ID)
		if err != nil || found.State == ContainerPaused {
			continue
		}
		if found.Finished || found.State == ContainerExited {
			return
		}
		claimed, err := a.m.ask(ctx, found)
		if errors.Is(err, ErrEngine) {
			continue
		}
		tries++
		if err != nil {
			continue
		}
		if claimed != nil {
			a.adoptLate(ctx, *claimed)
		}
		return
	}
}

// adoptLate adopts a container that has answered after the others, unless its context goes on without it.
func (a *adoption) adoptLate(ctx context.Context, c claimant) {
	a.late.Lock()
	defer a.late.Unlock()
	id := c.conn.Hello().Meta["id"]
	err := fmt.Errorf("context %s %w", id, ErrConflict)
	if _, unknown := a.m.session(id); unknown != nil {
		err = a.adoptUnknown(ctx, id, []claimant{c})
	} else {
		_ = c.conn.Close()
	}
	if err != nil {
		a.m.log.Warn("container left alone", "container", c.Name, "error", err)
	}
}

// choose returns the claimant that a context goes on with, and the others: that of the highest generation, and of
// several the one that the record names, else the oldest. A generation whose loss was noted is over, whatever runs.
func choose(found []claimant, r store.Context) (best *claimant, rest []claimant) {
	named := func(c claimant) bool { return c.Name == r.Container.Name || r.Next != nil && c.Name == r.Next.Name }
	found = slices.SortedFunc(slices.Values(found), func(a, b claimant) int {
		first := cmp.Or(cmp.Compare(b.generation(), a.generation()), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		if a.generation() == b.generation() && named(a) != named(b) {
			first = 1
			if named(a) {
				first = -1
			}
		}
		return first
	})
	if len(found) == 0 || found[0].generation() <= r.Loss.Lost {
		return nil, found
	}
	return &found[0], found[1:]
}

// dismissRivals removes the containers that claim a context which goes on without them. One of the same generation stays
// unless the record names the other, or it has never run anything: it may hold what somebody was told is kept. So does
// everything while the records are rebuilt.
func (a *adoption) dismissRivals(r store.Context, best *claimant, rest []claimant) {
	for _, c := range rest {
		equal := best != nil && c.generation() == best.generation()
		if a.rebuilt || equal && best.Name != r.Container.Name && c.used() {
			_ = c.conn.Close()
			a.m.log.Warn("a second container claims a context; it is left alone", "container", c.Name, "context", c.conn.Hello().Meta["id"])
			continue
		}
		a.m.dismiss([]claimant{c})
	}
}

// used reports whether anything has run in the container.
func (c claimant) used() bool { return len(c.conn.Hello().Executions) > 0 }

func (c claimant) generation() int { return c.conn.Hello().Generation }
