package supervisor

import (
	"context"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Reaper waits for every child of this process, as PID 1 must. Nothing else in the process may wait for children.
type Reaper struct {
	mu       sync.Mutex
	children map[int]*process
}

// process is a child whose end somebody waits for.
type process struct {
	pid    int
	reaper *Reaper
	exited chan struct{} // closed when it has been reaped
	status unix.WaitStatus
}

// NewReaper returns a Reaper. Until Run runs, zombies stay.
func NewReaper() *Reaper { return &Reaper{children: map[int]*process{}} }

// Run reaps children until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	defer signal.Stop(signals)
	for {
		for r.reap() {
		}
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
	}
}

// start calls fork with no reaping going on, so that a child that ends at once is not missed.
func (r *Reaper) start(fork func() (pid int, err error)) (*process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := fork()
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid, reaper: r, exited: make(chan struct{})}
	r.children[pid] = p
	return p, nil
}

// reap reaps one child, if one has ended.
func (r *Reaper) reap() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if err == unix.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if p := r.children[pid]; p != nil {
		delete(r.children, pid)
		p.status = status
		close(p.exited)
	}
	return true
}

// signalGroup sends a signal to the process group that a process leads.
func (p *process) signalGroup(sig unix.Signal) error { return p.kill(-p.pid, sig) }

// signal sends a signal to a process alone.
func (p *process) signal(sig unix.Signal) error { return p.kill(p.pid, sig) }

// kill is kill(2) for a process or its group. One that was reaped is left alone, since its number may belong to another
// by now.
func (p *process) kill(target int, sig unix.Signal) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	select {
	case <-p.exited:
		return nil
	default:
	}
	if err := unix.Kill(target, sig); err != nil && err != unix.ESRCH {
		return err
	}
	return nil
}
