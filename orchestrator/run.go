package orchestrator

import (
	"context"
	"errors"
	"time"
)

const (
	// reapEvery is how often the reaper looks for idle contexts.
	reapEvery = 5 * time.Second
	// watchAgain is the pause before a broken stream of engine events is opened again.
	watchAgain = time.Second
)

// Run reaps and watches until ctx ends. Then it closes all connections, waits for what is under way, and returns; the
// containers run on, to be adopted by the next server.
func (m *Manager) Run(ctx context.Context) error {
	m.inBackground(func(ctx context.Context) { every(ctx, reapEvery, m.reap) })
	m.inBackground(func(ctx context.Context) {
		every(ctx, watchAgain, func(ctx context.Context) {
			if err := m.Engine.Watch(ctx, m.ended); err != nil && ctx.Err() == nil {
				m.log.Warn("engine events interrupted", "error", err)
			}
		})
	})
	<-ctx.Done()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	m.tasks.Wait()
	return context.Cause(ctx)
}

// every calls f at once and then again after each period, until ctx ends.
func every(ctx context.Context, period time.Duration, f func(ctx context.Context)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		f(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reap removes the contexts that nobody has used for IdleTimeout.
func (m *Manager) reap(ctx context.Context) {
	if m.IdleTimeout <= 0 {
		return
	}
	for _, s := range m.all() {
		cc := s.describe()
		if time.Since(cc.LastUsedAt) < m.IdleTimeout || cc.State == StateRestarting || cc.State == StateStarting {
			// Its lifecycle is not waited for.
			continue
		}
		switch err := m.remove(ctx, s, m.IdleTimeout); {
		case err == nil:
			m.log.Info("idle context removed", "context", cc.ID)
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict):
			m.log.Warn("idle context not removed", "context", cc.ID, "error", err)
		}
	}
}

// ended is told by the engine that a container has ended. The connection would notice as well, later: it is closed, so
// that its watch looks at once.
func (m *Manager) ended(ev ContainerEvent) {
	for _, s := range m.all() {
		s.mu.Lock()
		conn, mine := s.conn, s.container == ev.ID
		s.mu.Unlock()
		if mine && conn != nil {
			m.log.Info("container ended", "container", ev.ID, "reason", ev.Reason)
			_ = conn.Close()
		}
	}
}
