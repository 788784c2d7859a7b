package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// How bash is watched.
const (
	// packetSize is how much interactive bash reads at once. It reads a packet when it has run all lines before it.
	packetSize = 1024
	watchEvery = 100 * time.Millisecond
	// muteFor is how long bash may owe a report that it has read the line for.
	muteFor = 5 * time.Second
)

// bash is the adapter of bash itself. Interactive bash reads commands from the channel, which is its standard input, and
// reports on it with printf. It is a native kernel in all but what the two say to each other.
//
// A request is a line, followed by a line that makes bash report. An error or an interrupt takes bash out of the first
// line, whatever it is doing, and lets it go on with the second, with all its state. The channel is one of packets: that
// bash has taken the second line shows that it is done with the first, and a report that does not come after that is
// asked for again, since an interrupt may just have hit it. If it never comes, user code has disabled what bash reports
// with, and bash is killed. Reports carry a random token of their request.
//
// While code of the user runs, bash keeps the channel on a descriptor of its own, which no program inherits, and what
// subshells write to it is not from bash's pid. Code that seeks it out and forges reports deceives only itself.
type bash struct {
	*native
	cells  string // a directory of the supervisor's
	home   string
	count  int               // executions so far
	status int               // of the last one
	env    map[string]string // of every execution, and of nothing else

	over chan struct{} // closed, under the mutex, when the execution is over; nil: there was none
}

var _ Adapter = (*bash)(nil)

// newBash returns the adapter. It makes the directory for cells at boot.
func newBash(language Language, user *userThread, reaper *Reaper, cells string) *bash {
	return &bash{native: newNative(language, user, reaper), cells: cells, home: Home, env: map[string]string{}}
}

// Boot implements Adapter.
func (b *bash) Boot(ctx context.Context) (version string, err error) {
	if err := b.start(); err != nil {
		b.stillborn(err)
		return "", err
	}
	token := rand.Text()
	err = b.ask(ctx, "boot", bootLine, versionReport(token), func(frame driverFrame) bool {
		version, _, _ = strings.Cut(frame.Version, "(")
		return frame.Type == driverBoot && frame.Value == token
	})
	if err != nil {
		return "", fmt.Errorf("%w%s", err, b.boot.report())
	}
	return version, nil
}

// start starts bash and what reads from it.
func (b *bash) start() error {
	if err := os.MkdirAll(b.cells, 0o711); err != nil { //nolint:gosec // bash opens by name what is in it
		return fmt.Errorf("make the directory for cells: %w", err)
	}
	return b.spawn(unix.SOCK_SEQPACKET, func(output, channel *os.File) []*os.File {
		return []*os.File{channel, output, output}
	})
}

// Setup implements Adapter.
func (b *bash) Setup(ctx context.Context, cwd string, env map[string]string) error {
	if fault := unfit("", env); fault != "" {
		return &CwdError{Value: fault}
	}
	path, err := makeCwd(b.user, b.home, cwd)
	if err != nil {
		return err
	}
	always, running := splitPrompts(env)
	b.env = running
	token, status := rand.Text(), 0
	err = b.ask(ctx, "setup", setupLine(path, always), statusReport(driverReady, token), func(frame driverFrame) bool {
		status = frame.Count
		return frame.Type == driverReady && frame.Value == token
	})
	if err == nil && status != 0 {
		return &CwdError{Value: "cannot enter the directory: " + path}
	}
	return err
}

// Ping implements Adapter. It comes after an interrupt, which may have left something that reads the lines to come.
func (b *bash) Ping(ctx context.Context) error {
	b.ridOfStrays(ctx)
	token := rand.Text()
	return b.ask(ctx, "ping", "", statusReport(driverPong, token), func(frame driverFrame) bool {
		return frame.Type == driverPong && frame.Value == token
	})
}

// Execute implements Adapter.
func (b *bash) Execute(ctx context.Context, run Run, sink Sink) error {
	b.count++
	if fault := unfit(run.Code, run.Env); fault != "" {
		sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: b.count})
		sink.Event(kernel.Event{Type: kernel.TypeError, Name: "ValueError", Value: fault})
		return nil
	}
	env := maps.Clone(b.env)
	maps.Copy(env, run.Env)
	run.Env = env
	c, err := newCell(b.cells, b.count, run, b.status)
	if err != nil {
		return err
	}
	err = b.runCell(ctx, c, sink)
	if failed := c.remove(); err == nil && failed != nil {
		return fmt.Errorf("remove the files of an execution: %w", failed)
	}
	return err
}

// runCell runs the code of a cell.
func (b *bash) runCell(ctx context.Context, c cell, sink Sink) error {
	outs, stdout, stderr, err := b.openOutputs(sink, c.open)
	if err != nil {
		return err
	}
	defer func() { // bash has opened its own
		_ = stdout.Close()
		_ = stderr.Close()
	}()
	over := make(chan struct{})
	b.mu.Lock()
	b.over = over
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(over)
	}()
	token, started := rand.Text(), false
	err = b.ask(ctx, "execute", cellLine(token, c), doneReport(token), func(frame driverFrame) bool {
		switch {
		case frame.Value != token:
		case frame.Type == driverStarted:
			started = true
			sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: b.count})
		case frame.Type == driverDone && !started:
			b.giveUp(errors.New("bash did not get the code: something else reads its commands"))
		case frame.Type == driverDone:
			outs.retire()
			if b.status = frame.Count; b.status != 0 {
				sink.Event(kernel.Event{Type: kernel.TypeError, Value: fmt.Sprint(b.status)})
			}
			return true
		}
		return false
	})
	if err != nil {
		outs.retire()
	}
	return err
}

// ask sends a line, and then the one that makes bash report, until take returns true for a report.
func (b *bash) ask(ctx context.Context, what, line, report string, take func(driverFrame) bool) error {
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	defer func() { stop(); <-watched }()
	send := func() error {
		defer func() {
			go func() { defer close(watched); b.watch(watching, report) }()
		}()
		if err := b.channel.write(line); err != nil {
			return err
		}
		return b.channel.write(report)
	}
	return b.await(ctx, what, send, take)
}

// watch asks for the report again when bash has read the line for it and has not reported, and at last kills it.
func (b *bash) watch(ctx context.Context, report string) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var owed time.Time // since when
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.exited:
			return
		case <-ticker.C:
		}
		switch {
		case b.channel.unread() > 0:
		case owed.IsZero():
			owed = time.Now()
		case time.Since(owed) > muteFor:
			b.giveUp(errors.New("bash does not report any more: " +
				"code has disabled or replaced builtin or printf, or reads bash's commands"))
			return
		default:
			if b.channel.write(report) != nil {
				return
			}
		}
	}
}

// giveUp kills a bash that is of no more use.
func (b *bash) giveUp(fault error) {
	b.mu.Lock()
	b.fault = fault
	process := b.process
	b.mu.Unlock()
	b.killed.Store(true)
	_ = process.signalGroup(unix.SIGKILL) // the supervisor kills the rest
}
