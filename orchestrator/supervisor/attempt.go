package supervisor

import (
	"context"
	"time"

	"cubby/orchestrator/kernel"
)

// attempt is the running of one execution: its clocks and the ladder of its end.
//
// A deadline or an interrupt sends the kernel one SIGINT, not before the execution has started, since a kernel takes
// it only then. An execution that does not end within kernel.Grace is killed with everything of the user.
//
// What the done says is what happened: an error that came after the signal was sent is its work (timeout or
// interrupted, state preserved); an execution that ends without one has ended ok, the signal notwithstanding; an error
// from before the signal stays an error.
type attempt struct {
	s *Supervisor
	e *execution

	begin     time.Time
	before    Sample
	peak      int64
	cause     kernel.Ending // timeout or interrupted, once that is asked for
	signalled bool
	killed    bool

	deadline *time.Timer
	grace    *time.Timer
}

// execute runs the execution and journals its done.
func (a *attempt) execute(ctx context.Context) {
	a.begin, a.before = time.Now(), a.s.meter()
	a.peak = a.before.MemoryBytes
	a.deadline, a.grace = idleTimer(), idleTimer()
	finished := make(chan error, 1)
	adapterCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { finished <- a.s.adapter.Execute(adapterCtx, a.e.run, a.e) }()
	err := a.wait(ctx, finished)
	a.deadline.Stop()
	a.grace.Stop()
	if ctx.Err() != nil { // the supervisor itself ends
		return
	}
	a.conclude(ctx, err)
}

// wait waits for the end of the execution and climbs the ladder meanwhile.
func (a *attempt) wait(ctx context.Context, finished <-chan error) error {
	started, interrupted := a.e.started, a.e.interrupted
	overdue := time.NewTimer(StartPatience)
	defer overdue.Stop()
	samples := time.NewTicker(sampleEvery)
	defer samples.Stop()
	over := ctx.Done()
	for {
		select {
		case err := <-finished:
			return err
		case <-started:
			started = nil
			overdue.Stop()
			a.begin = time.Now()
			a.setDeadline()
			if a.cause != "" {
				a.signal()
			}
		case <-overdue.C: // the kernel is busy with something else: the deadline holds even so
			a.setDeadline()
		case <-a.deadline.C:
			a.end(kernel.EndingTimeout, started == nil)
		case <-interrupted:
			interrupted = nil
			a.end(kernel.EndingInterrupted, started == nil)
		case <-a.grace.C:
			select {
			case err := <-finished: // at the last moment
				return err
			default:
			}
			a.killed = true
			if err := a.s.kill(ctx); err != nil {
				return err // bury tries again, and tells; what cannot be killed is the container's removal to end
			}
		case <-samples.C:
			a.peak = max(a.peak, a.s.meter().MemoryBytes)
		case <-over:
			over = nil
			_ = a.s.kill(ctx) // Run tries again, and tells
		}
	}
}

// setDeadline starts the clock of the execution's timeout.
func (a *attempt) setDeadline() {
	if a.e.timeout > 0 {
		a.deadline.Reset(a.e.timeout)
	}
}

// end begins the ladder, once.
func (a *attempt) end(cause kernel.Ending, started bool) {
	if a.cause != "" {
		return
	}
	a.cause = cause
	if started {
		a.signal()
		return
	}
	a.grace.Reset(kernel.Grace)
}

// signal interrupts the kernel, once.
func (a *attempt) signal() {
	a.s.mu.Lock()
	a.e.signalled = true
	a.s.mu.Unlock()
	a.signalled = true
	a.grace.Reset(kernel.Grace)
	_ = a.s.adapter.Interrupt() // one that did not reach the kernel is found out by the grace
}

// conclude journals how it ended.
func (a *attempt) conclude(ctx context.Context, err error) {
	usage := a.usage()
	if err != nil || a.killed {
		d := death{err: err, kills: a.before.OOMKills, usage: usage}
		if a.killed {
			d.ending = a.cause
		}
		a.s.bury(ctx, d)
		return
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.s.stopped {
		return
	}
	how := ended{ending: kernel.EndingOK, state: kernel.StatePreserved, usage: usage}
	switch {
	case a.e.cut:
		how.ending = a.cause
	case a.e.failed:
		how.ending = kernel.EndingError
	}
	a.s.finish(a.e, how)
}

// usage returns what the execution used.
func (a *attempt) usage() *kernel.Usage {
	after := a.s.meter()
	return &kernel.Usage{
		CPUMillis:  after.CPUMillis - a.before.CPUMillis,
		WallMillis: time.Since(a.begin).Milliseconds(),
		PeakBytes:  max(a.peak, after.MemoryBytes),
	}
}

// idleTimer returns a timer that does not run.
func idleTimer() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}
