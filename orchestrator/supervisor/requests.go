package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cubby/orchestrator/kernel"
)

// handle carries out one request of a connection. Requests of a connection come one at a time.
func (s *Supervisor) handle(ctx context.Context, c *conn, req kernel.Request) {
	switch req.Op {
	case kernel.OpClaim:
		s.handleClaim(ctx, c, req)
		return
	case kernel.OpStop:
		s.handleStop(ctx, c)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c { // fenced off
		return
	}
	switch req.Op {
	case kernel.OpPing:
		c.reply(kernel.Event{Type: kernel.TypePong})
	case kernel.OpExecute:
		s.handleExecute(c, req)
	case kernel.OpResume:
		if !s.journal.knows(req.ID) {
			c.reply(refusal(req.ID, kernel.RefusedUnknown, "no such execution"))
			return
		}
		c.resume(req)
	case kernel.OpAck:
		c.acknowledge(req.ID, req.Seq)
	case kernel.OpInterrupt:
		s.handleInterrupt(c, req.ID)
	default:
		c.reply(refusal(req.ID, kernel.RefusedRequest, fmt.Sprintf("unknown operation %q", req.Op)))
	}
}

// handleClaim gives the container to whoever claims it first.
func (s *Supervisor) handleClaim(ctx context.Context, c *conn, req kernel.Request) {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	reply, decided := s.decideClaim(c, req)
	if !decided {
		reply = s.setup(ctx, req)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		c.reply(reply)
	}
}

// decideClaim answers a claim that needs no setup.
func (s *Supervisor) decideClaim(c *conn, req kernel.Request) (reply kernel.Event, decided bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn != c:
		return kernel.Event{}, true
	case req.Token == "":
		return refusal("", kernel.RefusedRequest, "a claim needs a token"), true
	case s.claim != nil && s.claim.Token != req.Token:
		reply = refusal("", kernel.RefusedClaim, "claimed by another")
		reply.Meta, reply.Generation = s.claim.Meta, s.claim.Generation
		return reply, true
	case s.claim != nil:
		return kernel.Event{Type: kernel.TypeClaimed}, true
	case s.dead():
		return refusal("", kernel.RefusedDead, s.epitaph()), true
	}
	if err := checkEnv(req.Env); err != nil {
		return refusal("", kernel.RefusedRequest, err.Error()), true
	}
	return kernel.Event{}, false
}

// setup prepares the kernel for a claim. Nothing else uses it meanwhile: an unclaimed container executes nothing.
func (s *Supervisor) setup(ctx context.Context, req kernel.Request) kernel.Event {
	setupCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), AnswerTimeout)
	defer cancel()
	err := s.adapter.Setup(setupCtx, req.Cwd, req.Env)
	var cwd *CwdError
	if errors.As(err, &cwd) {
		return refusal("", kernel.RefusedCwd, cwd.Value)
	}
	if err != nil {
		s.bury(ctx, death{err: err})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead() {
		return refusal("", kernel.RefusedDead, s.epitaph())
	}
	req.Env = nil // the kernel has it now
	s.claim = &req
	return kernel.Event{Type: kernel.TypeClaimed}
}

// handleExecute queues an execution, or takes the request as a resume. The caller holds mu.
func (s *Supervisor) handleExecute(c *conn, req kernel.Request) {
	if req.ID != "" && s.journal.knows(req.ID) {
		c.take(req)
		return
	}
	err := checkExecute(req)
	room := kernel.QueueLength - len(s.queue)
	if s.running == nil {
		room++ // the first in the queue is about to run
	}
	switch {
	case req.After > 0:
		c.reply(refusal(req.ID, kernel.RefusedUnknown, "the execution is forgotten, and never runs twice"))
	case err != nil:
		c.reply(refusal(req.ID, kernel.RefusedRequest, err.Error()))
	case s.dead():
		c.reply(refusal(req.ID, kernel.RefusedDead, s.epitaph()))
	case s.claim == nil:
		c.reply(refusal(req.ID, kernel.RefusedUnclaimed, "the container is not claimed"))
	case room <= 0 || s.queued+len(req.Code) > kernel.QueueBytes:
		c.reply(refusal(req.ID, kernel.RefusedQueueFull,
			fmt.Sprintf("%d executions with %d bytes of code wait already", len(s.queue), s.queued)))
	default:
		s.journal.open(req.ID)
		c.take(req)
		s.queue = append(s.queue, newExecution(s, req))
		s.queued += len(req.Code)
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// handleInterrupt takes an execution out of the queue, or has the running one interrupted. The caller holds mu.
func (s *Supervisor) handleInterrupt(c *conn, id string) {
	switch {
	case !s.journal.knows(id):
		c.reply(refusal(id, kernel.RefusedUnknown, "no such execution"))
	case s.stopped:
	case s.running != nil && s.running.run.ID == id:
		s.running.end(kernel.EndingInterrupted)
	default:
		for i, e := range s.queue {
			if e.run.ID == id {
				s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
				s.queued -= len(e.run.Code)
				s.finish(e, ended{ending: kernel.EndingInterrupted, state: kernel.StatePreserved, value: "not run"})
				return
			}
		}
	}
}

// handleStop kills everything of the user, which ends no execution.
func (s *Supervisor) handleStop(ctx context.Context, c *conn) {
	s.mu.Lock()
	if s.conn != c {
		s.mu.Unlock()
		return
	}
	s.stopped = true
	s.mu.Unlock()
	err := s.kill(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		c.reply(refusal("", kernel.RefusedRequest, err.Error()))
		return
	}
	c.reply(kernel.Event{Type: kernel.TypeStopped, Executions: s.journal.status()})
}

// kill kills every process of the user.
func (s *Supervisor) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	return s.adapter.Kill(ctx)
}

// epitaph says how the kernel died. The caller holds mu.
func (s *Supervisor) epitaph() string {
	if s.death != nil {
		return s.death.Value
	}
	return "stopped"
}

// refusal returns a refused event.
func refusal(id string, reason kernel.Refusal, value string) kernel.Event {
	return kernel.Event{ID: id, Type: kernel.TypeRefused, Name: string(reason), Value: value}
}

// checkExecute refuses what no execution can be.
func checkExecute(req kernel.Request) error {
	switch {
	case req.ID == "":
		return errors.New("an execute needs an id")
	case req.TimeoutMS < 0:
		return fmt.Errorf("the timeout is %d ms", req.TimeoutMS)
	case req.Limits != nil && min(req.Limits.OutputBytes, req.Limits.DiskBytes) < 0:
		return fmt.Errorf("a limit is %d bytes", min(req.Limits.OutputBytes, req.Limits.DiskBytes))
	}
	return checkEnv(req.Env)
}

// checkEnv refuses variables that no process can have.
func checkEnv(env map[string]string) error {
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return fmt.Errorf("environment variable %q cannot be set: a name holds no = and neither holds a NUL", name)
		}
	}
	return nil
}
