package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"cubby/orchestrator/kernel"
)

// Execute starts an execution, behind those that the context already has. The error is nil as soon as the execution is
// accepted; how it ends is its done. ctx bounds the wait for acceptance only: an execution outlives the request that
// started it unless somebody interrupts it.
//
// Errors: ErrNotFound, ErrUnknownLanguage, ErrInvalid, ErrTooLarge, ErrCapacity (too many wait), ErrConflict (a failed
// context), and those of Create where a default context has to be made.
func (m *Manager) Execute(ctx context.Context, req ExecuteRequest) (*Execution, error) {
	if err := validateExecute(req, m.MaxTimeout, m.MaxOutput); err != nil {
		return nil, err
	}
	e, err := m.execute(ctx, req)
	if errors.Is(err, ErrNotFound) && req.Context == "" { // the default context was removed meanwhile
		e, err = m.execute(ctx, req)
	}
	return e, err
}

func (m *Manager) execute(ctx context.Context, req ExecuteRequest) (*Execution, error) {
	s, err := m.target(ctx, req)
	if err != nil {
		return nil, err
	}
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.execute(ctx, req)
}

// target returns the context that a request means.
func (m *Manager) target(ctx context.Context, req ExecuteRequest) (*session, error) {
	if req.Context != "" {
		return m.session(req.Context)
	}
	return m.defaultContext(ctx, req.Language)
}

// execute waits until the context takes executions, and sends the request.
func (s *session) execute(ctx context.Context, req ExecuteRequest) (*Execution, error) {
	for {
		s.mu.Lock()
		state, changed, untold := s.state, s.changed, s.untold()
		err := s.refuses()
		s.mu.Unlock()
		var e *Execution
		switch {
		case err != nil:
		case state == StateReady && !untold:
			e, err = s.send(ctx, req)
		case state == StateReady, state == StateLost && untold:
			e, err = s.tell(ctx)
		case state == StateLost:
			err = s.revive(ctx)
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				err = fmt.Errorf("wait for the context: %w", ctx.Err())
			}
		}
		if e != nil || err != nil {
			return e, err
		}
	}
}

// refuses says why the context takes no executions, and will take none unless somebody does something about it. The
// caller holds mu.
func (s *session) refuses() error {
	switch {
	case s.removed:
		return fmt.Errorf("context %s %w", s.record.ID, ErrNotFound)
	case s.state == StateFailed:
		return fmt.Errorf("%w: context %s is failed (%s); restart or remove it", ErrConflict, s.record.ID, s.record.Failed)
	}
	return nil
}

// send puts an execution on the wire and waits until the supervisor has it, so that it outlives this server, or until
// its end or ctx's. It returns nothing when the context is no longer ready for one.
func (s *session) send(ctx context.Context, req ExecuteRequest) (*Execution, error) {
	e, taken, err := s.submit(req)
	if e != nil {
		select {
		case <-taken:
		case <-ctx.Done(): // its caller has left, and will say what becomes of it
		case <-s.m.background.Done():
			return nil, fmt.Errorf("%w: the server stops, and cannot say whether execution %s will run", ErrEngine, e.ID)
		}
	}
	return e, err
}

// submit puts an execution on the wire. taken is closed once the supervisor has it, or it has ended.
func (s *session) submit(req ExecuteRequest) (e *Execution, taken <-chan struct{}, err error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	if s.state != StateReady || s.removed || s.untold() {
		s.mu.Unlock()
		return nil, nil, nil
	}
	if err := s.queueFull(len(req.Code)); err != nil {
		s.mu.Unlock()
		return nil, nil, err
	}
	request := kernel.Request{
		Op: kernel.OpExecute, ID: newExecutionID(), Code: req.Code, Env: req.Env, TimeoutMS: req.Timeout.Milliseconds(),
		Limits: s.m.executionLimits(req),
	}
	r := &run{
		id: request.ID, generation: s.record.Generation, state: kernel.ExecutionQueued, output: -1,
		taken: make(chan struct{}),
	}
	taken, e = r.taken, s.newReader(r, 0)
	request.Reader = r.number
	r.request = request
	s.executions = append(s.executions, r)
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		err = conn.Send(request)
	} else { // it is being replaced, and its successor sends this
		err = kernel.WriteFrame(io.Discard, request)
	}
	if errors.Is(err, kernel.ErrFrameTooLarge) {
		s.mu.Lock()
		s.executions = slices.DeleteFunc(s.executions, func(other *run) bool { return other == r })
		s.mu.Unlock()
		return nil, nil, fmt.Errorf("%w: code and environment, encoded: %w; write what is large into a file first", ErrTooLarge, err)
	}
	return e, taken, nil
}

// queueFull refuses code for which the supervisor may have no room. The caller holds mu.
func (s *session) queueFull(code int) error {
	for _, r := range s.executions {
		code += len(r.request.Code)
	}
	switch n := s.underWay(); {
	case n > kernel.QueueLength:
		return fmt.Errorf("%w: %d executions already wait in context %s: try again when one has ended", ErrCapacity, n-1, s.record.ID)
	case code > kernel.QueueBytes:
		return fmt.Errorf("%w: the executions that wait in context %s would have more than %d MiB of code: try again when one has ended",
			ErrCapacity, s.record.ID, kernel.QueueBytes>>20)
	}
	return nil
}

// executionLimits returns what bounds an execution beyond its deadline: the operator's limits, or less output.
func (m *Manager) executionLimits(req ExecuteRequest) *kernel.Limits {
	limits := kernel.Limits{OutputBytes: cmp.Or(req.MaxOutput, m.MaxOutput), DiskBytes: m.WorkspaceBytes}
	if limits == (kernel.Limits{}) {
		return nil
	}
	return &limits
}

func newExecutionID() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

// notify sends a request that has no reply, where there is a connection.
func (s *session) notify(req kernel.Request) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Send(req) // a broken connection is noticed by the watch
	}
}

// interrupt asks the supervisor to end an execution, now and on every later connection.
func (s *session) interrupt(r *run) {
	s.sending.Lock() // not between the execute and its repetition
	defer s.sending.Unlock()
	s.mu.Lock()
	r.interrupted = true
	s.mu.Unlock()
	s.notify(kernel.Request{Op: kernel.OpInterrupt, ID: r.id})
}

// Interrupt asks for the end of everything that runs or waits in a context. It returns at once; the executions' dones
// say how it went. A context in which nothing runs is left alone.
func (m *Manager) Interrupt(_ context.Context, id string) error {
	s, err := m.session(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	running := slices.Clone(s.executions)
	s.mu.Unlock()
	for _, r := range slices.Backward(running) { // the waiting ones first, so that none of them starts
		s.interrupt(r)
	}
	return nil
}

// tell ends an execution unrun, because state was lost that nobody has been told of: its reader will be. It returns
// nothing when somebody else is being told.
func (s *session) tell(ctx context.Context) (*Execution, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.untold() || s.removed {
		return nil, nil
	}
	loss := s.record.Loss
	r := &run{id: newExecutionID(), generation: loss.Lost} // it was meant for that state
	r.ended(Event{
		ID: r.id, Seq: 1, Type: kernel.TypeDone, Time: time.Now(), Ending: kernel.EndingLost, State: kernel.StateLost,
		Value: loss.Why + ", and nobody had been told; so this code was not run",
	})
	e := s.newReader(r, 0)
	r.conclude()
	s.remember(r)
	s.telling = r
	return e, nil
}

// untold reports whether state was lost that nobody has been told of, and that nobody is about to be told of. The caller
// holds mu.
func (s *session) untold() bool {
	loss, telling := s.record.Loss, s.telling
	return loss.Untold() && (telling == nil || telling.generation < loss.Lost || telling.reader.deserted())
}
