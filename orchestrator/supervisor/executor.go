package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"cubby/orchestrator/kernel"
)

// death is why the kernel is to be buried.
type death struct {
	err    error         // of the adapter; nil or ErrExited: the kernel died by itself
	ending kernel.Ending // timeout or interrupted, when it was killed for that; else empty
	kills  int64         // OOM kills before it
	usage  *kernel.Usage // of the running execution
}

// Run boots the kernel and runs executions one after the other until ctx ends. Then it kills every process of the user.
func (s *Supervisor) Run(ctx context.Context) error {
	s.bootKernel(ctx)
	idleKills := s.meter().OOMKills
	pingFirst := false
	for ctx.Err() == nil && !s.isDead() {
		e := s.take()
		if e == nil {
			select {
			case <-s.wake:
			case <-s.adapter.Exited():
				s.bury(ctx, death{kills: idleKills})
			case <-ctx.Done():
			}
			continue
		}
		if pingFirst && !s.ping(ctx, e, idleKills) {
			continue
		}
		run := attempt{s: s, e: e}
		run.execute(ctx)
		pingFirst = run.signalled
		idleKills = s.meter().OOMKills
	}
	<-ctx.Done()
	if err := s.kill(ctx); err != nil {
		return fmt.Errorf("end the kernel: %w", err)
	}
	return nil
}

// bootKernel boots the kernel and lets hellos out.
func (s *Supervisor) bootKernel(ctx context.Context) {
	defer close(s.booted)
	bootCtx, cancel := context.WithTimeout(ctx, BootTimeout)
	defer cancel()
	version, err := s.adapter.Boot(bootCtx)
	if err != nil {
		s.bury(ctx, death{err: fmt.Errorf("boot the kernel: %w", err)})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// take takes the next execution out of the queue.
func (s *Supervisor) take() *execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.dead() {
		return nil
	}
	s.running = s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.queued -= len(s.running.run.Code)
	return s.running
}

// ping makes sure, after an interrupt, that the kernel has it behind it: a late signal must not hit the next
// execution. It reports whether that one is to be run.
func (s *Supervisor) ping(ctx context.Context, e *execution, kills int64) bool {
	pingCtx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	if err := s.adapter.Ping(pingCtx); err != nil {
		if ctx.Err() == nil {
			s.bury(ctx, death{err: err, kills: kills})
		}
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.halted {
		s.finish(e, ended{ending: kernel.EndingInterrupted, state: kernel.StatePreserved, value: "not run"})
		return false
	}
	return true
}

// isDead reports whether the kernel runs nothing any more.
func (s *Supervisor) isDead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead()
}

// bury makes sure that nothing of the user is left, and ends the running execution and the queued ones with the
// kernel. After a stop it ends none: whoever stopped the container writes their dones.
func (s *Supervisor) bury(ctx context.Context, d death) {
	value := s.inquest(ctx, &d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead() {
		return
	}
	s.death = &kernel.Event{Type: kernel.TypeExited, Ending: d.ending, Value: value}
	if e := s.running; e != nil {
		s.finish(e, ended{ending: d.ending, state: kernel.StateLost, value: value, usage: d.usage})
	}
	for _, e := range s.queue {
		s.finish(e, ended{ending: d.ending, state: kernel.StateLost, value: "not run: " + value})
	}
	s.queue, s.queued = nil, 0
	if s.conn != nil {
		s.conn.exited = s.death
		s.conn.poke()
	}
}

// inquest finds out how the kernel died: it fills in the ending and returns words for a person.
func (s *Supervisor) inquest(ctx context.Context, d *death) string {
	exitedItself := d.err == nil || errors.Is(d.err, ErrExited)
	if err := s.kill(ctx); err != nil {
		d.ending = cmp.Or(d.ending, kernel.EndingCrashed)
		return fmt.Sprintf("given up: %v", err)
	}
	var exit Exit
	select {
	case <-s.adapter.Exited():
		exit = s.adapter.Exit()
	case <-time.After(AnswerTimeout): // its processes are gone, but not its adapter
	}
	switch {
	case d.ending == kernel.EndingTimeout:
		return fmt.Sprintf("killed: it had not ended %v after the interrupt at its deadline", kernel.Grace)
	case d.ending == kernel.EndingInterrupted:
		return fmt.Sprintf("killed: it had not ended %v after the interrupt", kernel.Grace)
	case exitedItself && exit.Killed && s.meter().OOMKills > d.kills:
		d.ending = kernel.EndingOOM
		return "killed: out of memory"
	}
	d.ending = kernel.EndingCrashed
	if d.err == nil || d.err == ErrExited { //nolint:errorlint // a wrapped one has more to say
		return exit.Value
	}
	return d.err.Error()
}
