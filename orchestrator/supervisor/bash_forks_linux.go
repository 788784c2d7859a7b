package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// How bash is interrupted.
const (
	insistEvery = 20 * time.Millisecond
	// programsEvery is how many times bash and its forks get the signal before its programs get it again: a program that
	// has caught it may be busy with ending in order.
	programsEvery = 15
	// strayTries is how often it is looked, every strayEvery, whether a fork that runs becomes a stray.
	strayTries = 100
	strayEvery = time.Millisecond
)

// Interrupt implements Adapter. A shell that waits for a child forgets the signal where the child ends by itself at that
// moment, as it may in a loop: so the signal is sent again until the execution is over, or is to be killed.
func (b *bash) Interrupt() error {
	b.mu.Lock()
	over := b.over
	b.mu.Unlock()
	if over != nil {
		b.reading.Go(func() { b.insist(over) })
	}
	return b.native.Interrupt()
}

// insist sends SIGINT again until the execution is over, and not after. What goes wrong here is left to the end of the
// grace, when bash is killed.
func (b *bash) insist(over <-chan struct{}) {
	ticker := time.NewTicker(insistEvery)
	defer ticker.Stop()
	for i := range int(kernel.Grace / insistEvery) {
		select {
		case <-over:
			return
		case <-b.exited:
			return
		case <-ticker.C:
		}
		forks, _ := b.forks()
		b.mu.Lock()
		select {
		case <-over:
		default:
			_ = b.signalForks(forks, unix.SIGINT) // first, since bash may wait for a stray
			target := b.process.pid
			if i%programsEvery == programsEvery-1 {
				target = -target
			}
			_ = b.process.signal(target, unix.SIGINT)
		}
		b.mu.Unlock()
	}
}

// forks returns the processes that bash has forked and that have executed no program: subshells, and strays. A stray is
// one that bash forked at the moment of an interrupt, and that took the signal as bash does: it has left what it was
// forked for, and gone back to the channel for the next line.
func (b *bash) forks() ([]int, error) {
	pids, err := allPIDs()
	if err != nil {
		return nil, fmt.Errorf("look for what bash has forked: %w", err)
	}
	same := []byte(strings.Join(b.language.Argv, "\x00") + "\x00")
	return slices.DeleteFunc(pids, func(pid int) bool {
		words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err != nil || !bytes.Equal(words, same) || pid == b.process.pid // one that cannot be read is gone
	}), nil
}

// signalForks sends a signal, or 0 for none, to those forks that are of bash's group, and no jobs of their own. It kills
// the strays: they alone have the channel as their standard input.
func (b *bash) signalForks(forks []int, sig unix.Signal) error {
	stdin := fmt.Sprintf("socket:[%d]", b.channel.driver)
	return b.user.do(func() error { // nobody else may see what the user's processes have open
		link := make([]byte, len(stdin)+1)
		for _, pid := range forks {
			n, err := unix.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid), link)
			if err != nil {
				continue // it is gone
			}
			deserved := unix.SIGKILL
			if string(link[:n]) != stdin {
				deserved = sig
				if group, err := unix.Getpgid(pid); err != nil || group != b.process.pid {
					continue
				}
			}
			if err := unix.Kill(pid, deserved); err != nil && err != unix.ESRCH {
				return fmt.Errorf("signal %d, which bash has forked: %w", pid, err)
			}
		}
		return nil
	})
}

// ridOfStrays kills the strays that an interrupt has left, those that are yet to come to the channel included.
func (b *bash) ridOfStrays(ctx context.Context) error {
	for range strayTries {
		forks, err := b.forks()
		if err != nil {
			return err
		}
		coming := slices.ContainsFunc(forks, isRunning) // looked at before what they read, so that none slips through
		if err := b.signalForks(forks, 0); err != nil || !coming {
			return err
		}
		select {
		case <-time.After(strayEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil // what still runs is a subshell in the background
}

// isRunning reports whether a process wants for nothing but a CPU.
func isRunning(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") R "))
}
