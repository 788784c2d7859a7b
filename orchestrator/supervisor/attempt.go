package supervisor

import (
	"context"
	"time"

	"cubby/orchestrator/kernel"
)

// attempt is the running of one execution: its clocks and the ladder of its end.
//
// A deadline, an interrupt or an exceeded limit sends the kernel one SIGINT, not before the execution has started, since
// a kernel takes it only then. An execution that does not end within kernel.Grace is killed with everything of the user.
//
// What the done says is what happened: an error that came after the signal was sent is its work (the ending is the
// signal's cause, state preserved); an execution that ends without one has ended ok, the signal notwithstanding; an
// error from before the signal stays an error. Only output beyond its limit is told in any case.
type attempt struct {
	s *Supervisor
	e *execution

	started   <-chan struct{} // nil once the kernel has begun
	ending    <-chan struct{} // nil once there is a cause to end the execution
	begin     time.Time
	kills     int64 // OOM kills before it; some may be of the moment before its begin
	before    Sample
	peak      int64
	thrash    thrashWatch
	signalled bool
	killed    bool
	thrashed  bool // it was killed for that

	overdue  *time.Timer // the start has not come
	deadline *time.Timer
	grace    *time.Timer
}

// execute runs the execution and journals its done.
func (a *attempt) execute(ctx context.Context) {
	a.started, a.ending = a.e.started, a.e.ending
	a.begin, a.before = time.Now(), a.s.meter()
	a.peak = a.before.MemoryBytes
	a.thrash = thrashWatch{read: a.s.pressure, looked: a.begin}
	a.overdue, a.deadline, a.grace = time.NewTimer(StartPatience), idleTimer(), idleTimer()
	a.s.disk.begin(a.e.limits.DiskBytes)
	finished := make(chan error, 1)
	adapterCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { finished <- a.s.adapter.Execute(adapterCtx, a.e.run, a.e) }()
	err := a.wait(ctx, finished)
	for _, timer := range []*time.Timer{a.overdue, a.deadline, a.grace} {
		timer.Stop()
	}
	if ctx.Err() != nil { // the supervisor itself ends
		return
	}
	a.conclude(ctx, err)
}

// wait waits for the end of the execution and climbs the ladder meanwhile.
func (a *attempt) wait(ctx context.Context, finished <-chan error) error {
	samples := time.NewTicker(sampleEvery)
	defer samples.Stop()
	over := ctx.Done()
	for {
		select {
		case err := <-finished:
			return err
		case <-a.started:
			a.start()
		case <-a.overdue.C: // the kernel is busy with something else: the deadline holds even so
			a.setDeadline()
		case <-a.deadline.C:
			a.end(kernel.EndingTimeout)
		case <-a.ending:
			a.ending = nil
			a.interrupt()
		case <-a.grace.C:
			if len(finished) > 0 { // at the last moment
				continue
			}
			if err := a.kill(ctx); err != nil {
				return err
			}
		case <-samples.C:
			if err := a.sample(ctx); err != nil {
				return err
			}
		case size := <-a.s.disk.sizes:
			if a.s.disk.full(size) {
				a.end(kernel.EndingDiskFull)
			}
		case <-over:
			over = nil
			_ = a.s.kill(ctx) // Run tries again, and tells
		}
	}
}

// sample looks at what the execution uses, and ends one that thrashes.
func (a *attempt) sample(ctx context.Context) error {
	a.peak = max(a.peak, a.s.meter().MemoryBytes)
	a.s.disk.look(ctx)
	if a.killed || !a.thrash.look() {
		return nil
	}
	a.thrashed = true
	return a.kill(ctx)
}

// kill ends what an interrupt cannot end, or not any more. After an error bury tries again, and tells; what cannot be
// killed is the container's removal to end.
func (a *attempt) kill(ctx context.Context) error {
	a.killed = true
	return a.s.kill(ctx)
}

// start starts the clocks, and sends the interrupt that has waited for the start.
func (a *attempt) start() {
	a.started = nil
	a.overdue.Stop()
	a.begin = time.Now()
	a.setDeadline()
	if a.ending == nil {
		a.interrupt()
	}
}

// setDeadline starts the clock of the execution's timeout.
func (a *attempt) setDeadline() {
	if a.e.timeout > 0 {
		a.deadline.Reset(a.e.timeout)
	}
}

// end asks for the execution's end.
func (a *attempt) end(cause kernel.Ending) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.e.end(cause)
}

// interrupt gives the execution its grace, and the kernel the signal, unless it has not started yet.
func (a *attempt) interrupt() {
	a.grace.Reset(kernel.Grace)
	if a.started != nil {
		return
	}
	a.s.mu.Lock()
	a.e.signalled = true
	a.s.mu.Unlock()
	a.signalled = true
	_ = a.s.adapter.Interrupt() // one that did not reach the kernel is found out by the grace
}

// conclude journals how it ended.
func (a *attempt) conclude(ctx context.Context, err error) {
	usage := a.usage()
	if err != nil || a.killed {
		d := death{err: err, killed: a.killed, kills: a.kills, usage: usage}
		switch {
		case a.thrashed:
			d.cause = kernel.EndingOOM
		case a.killed || a.signalled:
			d.cause, d.excess = a.e.cause, a.e.excess()
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
	case a.e.cut, a.e.cause == kernel.EndingOutputLimit: // that bound holds for code that ends by itself as well
		how.ending, how.value = a.e.cause, a.e.excess()
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
		OOMKills:   after.OOMKills - a.before.OOMKills,
	}
}

// idleTimer returns a timer that does not run.
func idleTimer() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}
