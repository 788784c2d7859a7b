package supervisor

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// How a bridge reaches a supervisor that may still be starting.
const (
	connectTimeout = 10 * time.Second
	connectEvery   = 20 * time.Millisecond
)

// flow is one direction of a bridge.
type flow struct {
	from, to int
	buffer   []byte // what has been read and not written
	storage  [64 << 10]byte
	ended    bool
}

// Attach is the life of a bridge: it copies standard input to a supervisor's socket, and the socket to standard
// output, until one of them ends or standard input is silent for kernel.BridgeTimeout.
//
// It is one loop around poll(2), since a container at its pids limit has no threads to give: goroutines that wait in
// reads would need one each.
func Attach(socket string) error {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // nothing is allocated in the loop
	fd, err := connect(socket)
	if err != nil {
		return err
	}
	for _, fd := range []int{unix.Stdin, unix.Stdout, fd} {
		if err := unix.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("prepare the bridge: %w", err)
		}
	}
	return bridge(&flow{from: unix.Stdin, to: fd}, &flow{from: fd, to: unix.Stdout})
}

// connect connects to the socket, trying for a while.
func connect(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	for start := time.Now(); ; {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err == nil {
			return fd, nil
		}
		if time.Since(start) > connectTimeout {
			return 0, fmt.Errorf("connect to the supervisor: %w", err)
		}
		pause := unix.NsecToTimespec(int64(connectEvery))
		_ = unix.Nanosleep(&pause, nil) // waits without a thread beside this one
	}
}

// bridge moves bytes both ways until a side ends or stays silent.
func bridge(in, out *flow) error {
	heard := time.Now()
	for !in.ended && !out.done() {
		poll := [2]unix.PollFd{in.waits(), out.waits()}
		left := kernel.BridgeTimeout - time.Since(heard)
		if left <= 0 {
			return errors.New("nothing was heard from the orchestrator: the bridge leaves")
		}
		if _, err := unix.Poll(poll[:], int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for bytes: %w", err)
		}
		if poll[0].Revents != 0 {
			reading := len(in.buffer) == 0
			if err := in.move(); err != nil {
				return err
			}
			if reading {
				heard = time.Now()
			}
		}
		if poll[1].Revents != 0 {
			if err := out.move(); err != nil {
				return err
			}
		}
	}
	return nil
}

// waits says what the direction is waiting for: to write what it has, else to read.
func (f *flow) waits() unix.PollFd {
	if len(f.buffer) > 0 {
		return unix.PollFd{Fd: int32(f.to), Events: unix.POLLOUT} //nolint:gosec // a descriptor
	}
	return unix.PollFd{Fd: int32(f.from), Events: unix.POLLIN} //nolint:gosec // a descriptor
}

// done reports whether the source has ended and all of it is written.
func (f *flow) done() bool { return f.ended && len(f.buffer) == 0 }

// move reads if nothing is left to write, and writes what it can.
func (f *flow) move() error {
	if len(f.buffer) == 0 {
		n, err := unix.Read(f.from, f.storage[:])
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return nil
		case errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
			f.ended = true
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
		f.buffer = f.storage[:n]
	}
	n, err := unix.Write(f.to, f.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case errors.Is(err, unix.EPIPE):
		f.ended, f.buffer = true, nil
		return nil
	case err != nil:
		return fmt.Errorf("write: %w", err)
	}
	f.buffer = f.buffer[n:]
	return nil
}
