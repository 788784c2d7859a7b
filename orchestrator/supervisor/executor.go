package supervisor

import (
	"context"
	"fmt"

	"cubby/orchestrator/kernel"
)

// Run boots the kernel and runs executions one after the other until ctx ends. Then it kills every process of the user.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.disk.walks.Wait()
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
		run := attempt{s: s, e: e, kills: idleKills}
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
	if e.cause != "" {
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
