package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// The sizes of a pipe and how it is read.
const (
	pipeSize     = 1 << 20  // of the running execution's pipes
	latePipeSize = 64 << 10 // of a finished one's: what pipes of a user may hold together is limited
	readSize     = 64 << 10
	// gatherTime is how long a pipe that has become readable is left alone, so that small writes come as one text.
	gatherTime = 2 * time.Millisecond
)

// readBuffers are for reading pipes: most pipes are silent and need none.
var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// outputs is the pair of pipes that take what one execution writes to its standard output and standard error.
type outputs struct {
	stdout, stderr *pipe
}

// pipe is the read end of one.
type pipe struct {
	file   *os.File
	raw    syscall.RawConn
	stream kernel.EventType
	sink   Sink
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex // held while bytes become events, so that their order is the pipe's
	text decoder
	end  string // of standard error
}

// openPipe makes a pipe for a stream.
type openPipe func(user *userThread, stream kernel.EventType, sink Sink) (p *pipe, write *os.File, err error)

// newPipe makes a pipe whose inode belongs to the user of the thread, so that the user can open it by its name in
// /proc, and whose read end does not block.
func newPipe(user *userThread, stream kernel.EventType, sink Sink) (p *pipe, write *os.File, err error) {
	var fds [2]int
	err = user.do(func() error { return unix.Pipe2(fds[:], unix.O_CLOEXEC) })
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe for %s: %w", stream, err)
	}
	return pipeOf(fds, stream, sink)
}

// pipeOf takes over the two ends of a pipe.
func pipeOf(fds [2]int, stream kernel.EventType, sink Sink) (p *pipe, write *os.File, err error) {
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize) // a smaller one is slower, no more
	write = os.NewFile(uintptr(fds[1]), string(stream))
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), write.Close())
	}
	p = &pipe{file: os.NewFile(uintptr(fds[0]), string(stream)), stream: stream, sink: sink, closed: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, nil, errors.Join(err, p.file.Close(), write.Close())
	}
	return p, write, nil
}

// run reads the pipe until nobody can write to it any more or it is closed.
func (p *pipe) run() {
	defer p.close()
	gather := time.NewTimer(time.Hour)
	defer gather.Stop()
	for {
		if err := p.raw.Read(func(fd uintptr) bool { return readable(int(fd)) }); err != nil {
			return
		}
		p.sink.Ready(0, p.closed)
		gather.Reset(gatherTime)
		select {
		case <-gather.C:
		case <-p.closed:
			return
		}
		if err := p.read(pipeSize); err != nil {
			return
		}
	}
}

// drain reads what the pipe holds at this moment.
func (p *pipe) drain() {
	p.mu.Lock() // first: what run has just read must be told before the caller goes on
	defer p.mu.Unlock()
	size := 0
	err := p.raw.Control(func(fd uintptr) { size, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD
	if err == nil && size > 0 {
		_ = p.readLocked(size) // an end is run's to notice
	}
}

// read reads until the pipe is empty or limit bytes have come. The error is io.EOF when nobody can write any more.
func (p *pipe) read(limit int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readLocked(limit)
}

// readLocked is read for a caller that holds mu.
func (p *pipe) readLocked(limit int) error {
	buffer, ok := readBuffers.Get().(*[readSize]byte)
	if !ok {
		buffer = new([readSize]byte)
	}
	defer readBuffers.Put(buffer)
	for limit > 0 {
		n, err := 0, error(nil)
		// Control, since run holds the file's lock for reading while it waits.
		control := p.raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), buffer[:min(limit, readSize)]) })
		switch {
		case control != nil:
			return control
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return err
		case n == 0:
			p.text.flush(p.emit)
			return io.EOF
		}
		limit -= n
		p.text.decode(buffer[:n], p.emit)
	}
	return nil
}

// flush tells the beginning of a character whose rest has not come.
func (p *pipe) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.flush(p.emit)
}

// emit tells a text. The end of standard error is kept: it can say why the kernel has died.
func (p *pipe) emit(text string) {
	if p.stream == kernel.TypeStderr {
		p.end += text[max(0, len(text)-maxLastWords):]
		p.end = p.end[max(0, len(p.end)-maxLastWords):]
	}
	p.sink.Event(kernel.Event{Type: p.stream, Text: text})
}

// shrink gives pipe buffers back, as far as what they hold allows.
func (p *pipe) shrink() {
	_ = p.raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, latePipeSize) })
}

// close closes the read end. Whoever still writes gets SIGPIPE.
func (p *pipe) close() {
	p.once.Do(func() {
		close(p.closed)
		_ = p.file.Close()
	})
}

// readable reports whether a read of the pipe would not block: it holds bytes, or nobody can write to it.
func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	for {
		n, err := unix.Poll(poll, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// drain reads what both pipes hold at this moment.
func (o *outputs) drain() {
	o.stdout.drain()
	o.stderr.drain()
}

// retire is for the end of the execution: what comes from now on is late.
func (o *outputs) retire() {
	o.drain()
	o.flush()
	o.stdout.shrink()
	o.stderr.shrink()
}

// flush tells the beginnings of characters whose rest has not come.
func (o *outputs) flush() {
	o.stdout.flush()
	o.stderr.flush()
}

// close closes both.
func (o *outputs) close() {
	o.stdout.close()
	o.stderr.close()
}

// open makes both pipes and returns the ends to write to.
func (o *outputs) open(user *userThread, sink Sink, open openPipe) (stdout, stderr *os.File, err error) {
	if o.stdout, stdout, err = open(user, kernel.TypeStdout, sink); err != nil {
		return nil, nil, err
	}
	if o.stderr, stderr, err = open(user, kernel.TypeStderr, sink); err != nil {
		o.stdout.close()
		return nil, nil, errors.Join(err, stdout.Close())
	}
	return stdout, stderr, nil
}

// openOutputs makes the pipes of an execution and closes those of the oldest if there are too many.
func (n *native) openOutputs(sink Sink, open openPipe) (outs *outputs, stdout, stderr *os.File, err error) {
	outs = &outputs{}
	if stdout, stderr, err = outs.open(n.user, sink, open); err != nil {
		return nil, nil, nil, err
	}
	n.reading.Go(outs.stdout.run)
	n.reading.Go(outs.stderr.run)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outputs = append(n.outputs, outs)
	if len(n.outputs) > maxOutputs {
		n.outputs[0].close()
		n.outputs[0] = nil
		n.outputs = n.outputs[1:]
	}
	return outs, stdout, stderr, nil
}
