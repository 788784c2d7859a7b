package api

import (
	"context"
	"errors"
	"sync"
)

// errDraining refuses what would begin on a server that is about to end.
var errDraining = errors.New("this server is stopping; try again in a moment, its successor takes the contexts over")

// activity is what goes on in a server: requests that make or run something, and what outlives its request.
type activity struct {
	mu       sync.Mutex
	requests int
	draining chan struct{} // not nil once the server drains; closed when no request is left
	ended    bool
	tasks    sync.WaitGroup
}

// begin counts a request that makes or runs something, until end is called. It is refused once the server drains.
func (a *activity) begin() (end func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining != nil {
		return nil, errDraining
	}
	a.requests++
	return a.leave, nil
}

func (a *activity) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests--
	if a.draining != nil && a.requests == 0 {
		close(a.draining)
	}
}

// underWay returns how many requests have begun and not ended.
func (a *activity) underWay() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// drain refuses requests from now on and returns a channel that is closed when none is under way.
func (a *activity) drain() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining == nil {
		a.draining = make(chan struct{})
		if a.requests == 0 {
			close(a.draining)
		}
	}
	return a.draining
}

// onOwnTime runs f beyond the request that asks for it. After Close it does nothing. f ends when s.running does.
func (s *Server) onOwnTime(f func()) {
	s.activity.mu.Lock()
	defer s.activity.mu.Unlock()
	if !s.activity.ended {
		s.activity.tasks.Go(f)
	}
}

// Drain refuses what would begin something, executions and contexts, with a 503 that asks to try again, and waits until
// nothing that has begun before is under way or ctx ends. Everything else is still answered. It may be called twice.
func (s *Server) Drain(ctx context.Context) {
	drained := s.activity.drain()
	if waiting := s.activity.underWay(); waiting > 0 {
		s.log.InfoContext(ctx, "waiting for requests that run code or make contexts", "requests", waiting)
	}
	select {
	case <-drained:
	case <-ctx.Done():
		if left := s.activity.underWay(); left > 0 {
			s.log.InfoContext(ctx, "requests are cut off; what runs goes on", "requests", left)
		}
	}
}

// Close ends what outlives its request: the reading of output that nobody follows. It returns when that has ended. The
// executions go on. The http.Server is shut down before.
func (s *Server) Close() {
	s.stop()
	s.activity.mu.Lock()
	s.activity.ended = true
	s.activity.mu.Unlock()
	s.activity.tasks.Wait()
}
