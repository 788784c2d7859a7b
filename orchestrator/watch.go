package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

const (
	// attachPatience is how long a container that runs may refuse a bridge (at its pids limit none can start) before
	// it is replaced.
	attachPatience = 10 * time.Second
	// reconnectEvery is the pause between two looks at a container that cannot be reached.
	reconnectEvery = 500 * time.Millisecond
	// attachTimeout bounds one attempt to attach.
	attachTimeout = 5 * time.Second
)

// watch waits for the end of a connection and then finds out what became of the container.
func (s *session) watch(ctx context.Context, conn *kernel.Conn) {
	select {
	case <-conn.Done():
		s.reach(ctx, conn)
	case <-ctx.Done():
		_ = conn.Close()
	}
}

// attempts is what the attempts to reach a container have found so far.
type attempts struct {
	refused time.Time // since when the container runs and refuses a bridge; zero: it does not
	away    bool      // the engine did not answer once
}

// refusedBy notes that a container takes no bridge, perhaps since an earlier attempt. An engine that restarts says nothing
// of its containers.
func (a *attempts) refusedBy(err error, since time.Time) {
	if !errors.Is(err, ErrEngine) {
		a.refused = cmp.Or(since, time.Now())
	}
}

// fate says what has become of a container that has ended; nothing of one that is not there.
func (a *attempts) fate(c Container) string {
	if fate := c.fate(); a.away && fate != "" {
		return "its container ended while the engine was away: " + fate
	}
	return c.fate()
}

// reach tries to replace a broken connection, or the missing first one (nil), until it is clear what became of the
// container.
func (s *session) reach(ctx context.Context, broken *kernel.Conn) {
	for tried := (attempts{}); !s.reconnect(ctx, broken, &tried); {
		select {
		case <-time.After(reconnectEvery):
		case <-ctx.Done():
			return
		}
	}
}

// reconnect makes one attempt to replace a broken connection. It is over when there is a new one, when the container is
// found to be gone, or when the context has moved on. One that runs but takes no bridge for attachPatience is replaced,
// and lost where there is no other to be had. An engine that is not there, and a paused container, are waited for.
func (s *session) reconnect(ctx context.Context, broken *kernel.Conn, tried *attempts) (over bool) {
	if s.lock(ctx) != nil {
		return true
	}
	defer s.unlock()
	s.mu.Lock()
	container, record := s.container, s.record
	moved := s.conn != broken || !s.holdsContainer() || s.removed
	s.mu.Unlock()
	if moved {
		return true
	}
	found, err := s.m.find(ctx, container)
	refused := tried.refused
	tried.refused = time.Time{}
	var lost error
	switch {
	case err != nil:
		tried.away = true
		return false // nothing is known: nothing is lost
	case found.State == ContainerPaused:
		return false
	case found.State != ContainerRunning || found.Finished:
		lost = s.lose(tried.fate(found))
	case !refused.IsZero() && time.Since(refused) > attachPatience:
		lost = s.replaceOrLose(ctx, "its container ran, but its supervisor could not be reached")
	default:
		conn, err := s.reattach(ctx, container, record.Container)
		if err == nil {
			s.takeOver(conn, record.Container)
			return true
		}
		if foreign, ok := errors.AsType[*kernel.VersionError](err); ok { // it will not learn ours
			lost = s.replaceOrLose(ctx, "its container is of another version of cubby: "+foreign.Error())
			break
		}
		s.m.log.Debug("bridge refused", "context", record.ID, "error", err)
		tried.refusedBy(err, refused)
		return false
	}
	if lost != nil {
		s.m.log.Error("container not replaced", "context", record.ID, "error", lost)
	}
	return lost == nil
}

// reattach makes one attempt to connect to a container that runs.
func (s *session) reattach(ctx context.Context, container string, c store.Container) (*kernel.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	return connect(ctx, s.m.Engine, container, s.handler(c))
}

// takeOver uses a new connection to the same container, where executions may run that this server has not sent, and
// whose kernel may have died while nobody was connected.
func (s *session) takeOver(conn *kernel.Conn, c store.Container) {
	s.mu.Lock()
	s.learn(conn.Hello().Executions)
	s.mu.Unlock()
	s.adoptExecutions(conn.Hello())
	s.useConn(conn)
	if why := conn.Hello().Exited; why != "" {
		s.m.inBackground(func(ctx context.Context) { s.kernelDied(ctx, c.Name, why) })
	}
}

// fate says what has become of a container that has ended; nothing of one that is not there.
func (c Container) fate() string {
	if c.State == ContainerRunning && c.Finished {
		return "its container was restarted by somebody else"
	}
	return c.Reason
}

// find looks a container up. One that is not there counts as exited.
func (m *Manager) find(ctx context.Context, id string) (Container, error) {
	containers, err := m.Engine.List(ctx)
	if err != nil {
		return Container{}, fmt.Errorf("look for container %.12s: %w", id, err)
	}
	i := slices.IndexFunc(containers, func(c Container) bool { return c.ID == id })
	if i < 0 {
		return Container{ID: id, State: ContainerExited, Finished: true, Reason: "its container was removed by somebody else"}, nil
	}
	return containers[i], nil
}
