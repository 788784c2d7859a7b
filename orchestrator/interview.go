package orchestrator

import (
	"context"
	"sync"

	"cubby/orchestrator/kernel"
)

// parallelAdoptions is how many containers are looked into at once.
const parallelAdoptions = 8

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

// interview asks every container that runs which context it serves, and returns the answers by context.
func (m *Manager) interview(ctx context.Context, containers []Container) map[string][]claimant {
	var (
		mu     sync.Mutex
		claims = map[string][]claimant{}
		places = make(chan struct{}, parallelAdoptions)
		asking sync.WaitGroup
	)
	for _, c := range containers {
		if c.State != ContainerRunning || c.Finished {
			continue
		}
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			attaching, cancel := context.WithTimeout(ctx, attachPatience)
			defer cancel()
			events := &relay{}
			conn, err := connect(attaching, m.Engine, c.ID, events.handle)
			if err != nil {
				m.log.Warn("container does not answer", "container", c.Name, "error", err)
				return
			}
			hello := conn.Hello()
			if !hello.Claimed || hello.Meta["instance"] != m.Store.Instance() {
				_ = conn.Close()
				return
			}
			mu.Lock()
			defer mu.Unlock()
			id := hello.Meta["id"]
			claims[id] = append(claims[id], claimant{Container: c, conn: conn, events: events})
		})
	}
	asking.Wait()
	return claims
}

// highest returns the claimant of the highest generation, and the others.
func highest(found []claimant) (best *claimant, rest []claimant) {
	for _, c := range found {
		switch {
		case best == nil:
			best = &c
		case c.generation() > best.generation():
			rest, best = append(rest, *best), &c
		default:
			rest = append(rest, c)
		}
	}
	return best, rest
}

func (c claimant) generation() int { return c.conn.Hello().Generation }
