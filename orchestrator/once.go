package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
)

// Lease is how long the container of a RunOnce outlives the program that started it.
const Lease = 30 * time.Second

// leaveAfter is how long a RunOnce waits for the done of an execution that it has interrupted.
const leaveAfter = kernel.Grace + 3*time.Second

// OnceRequest is one execution in a container of its own. Zero fields mean the defaults.
type OnceRequest struct {
	Image   Image
	Code    string
	Cwd     string
	Env     map[string]string
	Timeout time.Duration
	Limits  Limits
	Network Network
	UIDs    UIDRange

	MaxOutput int64 // bytes of output and results, after which it ends as output_limit; 0: no bound
}

// RunOnce runs code in a container of its own, with a workspace of its own, and removes both. It needs no store: the
// container carries a lease, so that it ends by itself when this program is killed. emit is called for each event in
// order, the done last; its error ends the run. When ctx ends the execution is interrupted, and its done still emitted.
func RunOnce(ctx context.Context, engine Engine, req OnceRequest, emit func(Event) error) (err error) {
	if err := validateExecute(ExecuteRequest{Code: req.Code, Env: req.Env, Timeout: req.Timeout}, math.MaxInt64, 0); err != nil {
		return err
	}
	id := newExecutionID()
	spec := ContainerSpec{
		Name: "cubby-run-" + strings.ToLower(rand.Text()[:16]), Image: req.Image.ID, UID: cmp.Or(req.UIDs, WideUIDs).pick(),
		Limits: req.Limits, Network: cmp.Or(req.Network, NetworkNone), Lease: Lease,
	}
	var conn *kernel.Conn
	e := NewExecution(id, "", 1,
		func(seq uint64) { _ = conn.Send(kernel.Request{Op: kernel.OpAck, ID: id, Seq: seq}) },
		func() { _ = conn.Send(kernel.Request{Op: kernel.OpInterrupt, ID: id}) })
	defer func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		err = errors.Join(err, engine.Remove(cleaning, spec.Name))
	}()
	_, conn, err = boot(ctx, engine, spec, func(ev Event) {
		switch {
		case ev.ID != id:
		case ev.Type == kernel.TypeRefused:
			e.Deliver(unrun(ev))
		default:
			e.Deliver(ev)
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	err = claim(ctx, conn, kernel.Request{Token: rand.Text(), ID: id, Generation: 1, Cwd: cmp.Or(req.Cwd, DefaultCwd)})
	if err != nil {
		return err
	}
	err = conn.Send(kernel.Request{
		Op: kernel.OpExecute, ID: id, Code: req.Code, Env: req.Env, TimeoutMS: req.Timeout.Milliseconds(),
		Limits: &kernel.Limits{OutputBytes: req.MaxOutput},
	})
	if err != nil {
		return err
	}
	return follow(ctx, conn, e, emit)
}

// follow emits an execution's events until its done, or until the connection breaks.
func follow(ctx context.Context, conn *kernel.Conn, e *Execution, emit func(Event) error) error {
	reading, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop(nil)
	watching.Go(func() { giveUp(ctx, reading, stop, e) })
	watching.Go(func() {
		select {
		case <-conn.Done():
			e.Deliver(Event{
				ID: e.ID, Type: kernel.TypeDone, Ending: kernel.EndingLost, State: kernel.StateLost,
				Value: fmt.Sprintf("the connection to the container broke: %v", conn.Err()),
			})
		case <-reading.Done():
		}
	})
	for {
		ev, err := e.Next(reading)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return context.Cause(reading)
		}
		if err := emit(ev); err != nil {
			return err
		}
	}
}

// giveUp interrupts the execution when ctx ends, and stops the reading when that does not end it.
func giveUp(ctx, reading context.Context, stop context.CancelCauseFunc, e *Execution) {
	select {
	case <-ctx.Done():
		e.Interrupt()
	case <-reading.Done():
		return
	}
	select {
	case <-time.After(leaveAfter):
		stop(errors.New("the interrupted execution did not end"))
	case <-reading.Done():
	}
}
