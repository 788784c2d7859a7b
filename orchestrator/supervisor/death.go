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
	cause  kernel.Ending // of the interrupt that the kernel was sent before; empty: it was sent none
	excess string        // the limit behind the cause, if it is one
	killed bool          // by us, for the cause
	kills  int64         // OOM kills before it
	usage  *kernel.Usage // of the running execution
}

// bury makes sure that nothing of the user is left, and ends the running execution and the queued ones with the
// kernel. After a stop it ends none: whoever stopped the container writes their dones.
func (s *Supervisor) bury(ctx context.Context, d death) {
	s.burying.Lock()
	defer s.burying.Unlock()
	if s.isDead() {
		return
	}
	ending, value := s.inquest(ctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead() {
		return
	}
	s.death = &kernel.Event{Type: kernel.TypeExited, Ending: ending, Value: value}
	if e := s.running; e != nil {
		s.finish(e, ended{ending: ending, state: kernel.StateLost, value: value, usage: d.usage})
	}
	for _, e := range s.queue {
		s.finish(e, ended{ending: ending, state: kernel.StateLost, value: "not run: " + value})
	}
	s.queue, s.queued = nil, 0
	if s.conn != nil {
		s.conn.exited = s.death
		s.conn.poke()
	}
}

// inquest finds out how the kernel died: the ending, and words for a person.
func (s *Supervisor) inquest(ctx context.Context, d death) (ending kernel.Ending, value string) {
	if d.killed {
		ending = d.cause
	}
	if err := s.kill(ctx); err != nil {
		return cmp.Or(ending, kernel.EndingCrashed), fmt.Sprintf("given up: %v", err)
	}
	var exit Exit
	select {
	case <-s.adapter.Exited():
		exit = s.adapter.Exit()
	case <-time.After(AnswerTimeout): // its processes are gone, but not its adapter
	}
	return d.verdict(exit, s.meter().OOMKills > d.kills)
}

// verdict is how a kernel died that is known to be dead: the ending, and words for a person.
func (d death) verdict(exit Exit, outOfMemory bool) (ending kernel.Ending, value string) {
	byItself := d.err == nil || errors.Is(d.err, ErrExited)
	switch {
	case d.killed && d.cause == kernel.EndingOOM:
		return d.cause, fmt.Sprintf("out of memory: the kernel%s was killed: its memory was full, and its program had to be "+
			"read from the disk again and again for %v", exit.who(), thrashPatience)
	case d.killed:
		return d.cause, fmt.Sprintf("killed: it had not ended %v after the interrupt%s", kernel.Grace, d.occasion())
	case byItself && exit.Killed && outOfMemory:
		return kernel.EndingOOM, fmt.Sprintf("out of memory: the kernel%s was killed", exit.who())
	case byItself && exit.Cut && d.cause != "":
		return d.cause, fmt.Sprintf("died of the interrupt%s: %s", d.occasion(), exit.Value)
	case d.err == nil || d.err == ErrExited: //nolint:errorlint // a wrapped one has more to say
		return kernel.EndingCrashed, exit.Value
	default:
		return kernel.EndingCrashed, d.err.Error()
	}
}

// occasion says what the interrupt was for.
func (d death) occasion() string {
	switch {
	case d.excess != "":
		return " for its limit (" + d.excess + ")"
	case d.cause == kernel.EndingTimeout:
		return " at its deadline"
	default:
		return ""
	}
}
