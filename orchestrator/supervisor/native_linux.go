package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// maxOutputs is how many executions' pipes stay open, the running one's included.
const maxOutputs = 64

// native is the adapter of a kernel that runs our own driver.
type native struct {
	language Language
	user     *userThread
	reaper   *Reaper
	boot     *tail
	reading  sync.WaitGroup // of pipes, and interrupts on their way; tests wait for it, in a container it ends with PID 1

	channel *channel // set by Boot
	killed  atomic.Bool
	dying   string // the driver's last words; read's alone
	exited  chan struct{}
	exit    Exit // read after exited

	taking sync.Mutex        // held while a frame is taken, so that nothing of a request is taken after its end
	take   func(driverFrame) // takes the frames of the request that is being answered; nil: none is

	mu        sync.Mutex
	process   *process
	outputs   []*outputs    // oldest first
	interrupt chan struct{} // the newest that was sent as a frame; closed once it is on its way
	fault     error         // what the adapter has killed the kernel for
}

var _ Adapter = (*native)(nil)

// newNative returns the adapter of a language's driver.
func newNative(language Language, user *userThread, reaper *Reaper) *native {
	return &native{
		language: language, user: user, reaper: reaper,
		boot: &tail{}, exited: make(chan struct{}),
	}
}

// Boot implements Adapter.
func (n *native) Boot(ctx context.Context) (version string, err error) {
	if err := n.start(); err != nil {
		n.stillborn(err)
		return "", err
	}
	err = n.await(ctx, "boot", func() error { return nil }, func(frame driverFrame) bool {
		version = frame.Version
		return frame.Type == driverBoot
	})
	switch {
	case err == nil:
		return version, nil
	case errors.Is(err, ErrExited):
		err = fmt.Errorf("%w: %s", err, n.exit.Value)
	case ctx.Err() != nil:
		err = fmt.Errorf("the driver has sent no boot frame in time: %w", ctx.Err())
	}
	return "", fmt.Errorf("%w%s", err, n.boot.report())
}

// start starts the driver and what reads from it.
func (n *native) start() error {
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("open the kernel's standard input: %w", err)
	}
	defer stdin.Close()
	return n.spawn(unix.SOCK_STREAM, func(output, channel *os.File) []*os.File {
		return []*os.File{stdin, output, output, channel}
	})
}

// spawn starts the kernel's process with a channel of a kind and what reads from it. The kernel gets the descriptors
// that files makes of a pipe for what it prints at boot and its end of the channel.
func (n *native) spawn(kind int, files func(output, channel *os.File) []*os.File) error {
	output, outputWrite, err := newPipe(n.user, kernel.TypeStderr, n.boot)
	if err != nil {
		return err
	}
	defer outputWrite.Close()
	channel, driverEnd, err := newChannel(kind)
	if err != nil {
		output.close()
		return err
	}
	defer driverEnd.Close()
	process, err := n.reaper.spawn(n.language, n.user.uid, files(outputWrite, driverEnd)...)
	if err != nil {
		output.close()
		return errors.Join(err, channel.conn.Close())
	}
	n.mu.Lock()
	n.channel, n.process = channel, process
	n.mu.Unlock()
	n.reading.Go(output.run)
	go func() { <-process.exited; channel.giveUp() }()
	go n.read(process, output)
	return nil
}

// read takes frames until the driver is dead, and then says that it is.
func (n *native) read(process *process, boot *pipe) {
	var stream driverStream
	var fault error
	feed := func(chunk []byte) {
		if fault == nil {
			fault = stream.feed(chunk, n.dispatch)
		}
		if fault != nil {
			n.killed.Store(true)
			_ = process.signalGroup(unix.SIGKILL) // the supervisor kills the rest
		}
	}
	buffer := make([]byte, readSize)
	for {
		size, err := n.channel.receive(buffer, process.pid)
		if err != nil {
			break
		}
		feed(buffer[:size])
	}
	// The channel of a process that dies is closed before the process can be waited for. A driver that has closed it
	// and lives on is of no use.
	select {
	case <-process.exited:
	case <-time.After(kernel.Grace):
		n.killed.Store(true)
		_ = process.signalGroup(unix.SIGKILL)
		<-process.exited
		fault = errors.Join(fault, errors.New("kernel closed its channel"))
	}
	n.channel.rest(buffer, process.pid, feed)
	n.mu.Lock()
	fault = errors.Join(fault, n.fault)
	n.mu.Unlock()
	_ = n.channel.conn.Close()
	boot.drain()
	n.exit = exitOf(process.status, fault, n.killed.Load(), n.lastWords())
	n.exit.Process = processOf(n.language, process.pid)
	close(n.exited)
}

// dispatch hands a frame to the request that is being answered. One that nobody asked for is dropped, last words aside.
func (n *native) dispatch(frame driverFrame) {
	if frame.Type == driverDying {
		n.dying = frame.Value
		return
	}
	n.taking.Lock()
	defer n.taking.Unlock()
	if n.take != nil {
		n.take(frame)
	}
}

// await sends a request and lets take have the frames that come until it returns true.
func (n *native) await(ctx context.Context, what string, send func() error, take func(driverFrame) bool) error {
	answered := make(chan struct{})
	n.taking.Lock()
	n.take = func(frame driverFrame) {
		if take(frame) {
			n.take = nil
			close(answered)
		}
	}
	n.taking.Unlock()
	defer func() {
		n.taking.Lock()
		n.take = nil
		n.taking.Unlock()
	}()
	stop := context.AfterFunc(ctx, n.channel.giveUp)
	sent := send()
	if !stop() && sent == nil {
		sent = ctx.Err()
	}
	if sent != nil && ctx.Err() == nil {
		<-n.exited // the channel breaks when the kernel dies, and its death is the better reason
	}
	select {
	case <-answered:
		return nil
	case <-n.exited:
	case <-ctx.Done():
		return fmt.Errorf("kernel did not answer the %s: %w", what, ctx.Err())
	}
	select {
	case <-answered: // with its last words
		return nil
	default:
		return ErrExited
	}
}
