package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// How an interrupt is sent again. In the pauses bash does what takes it some time: a trap's cleaning up, PROMPT_COMMAND.
const (
	insistPause = 300 * time.Millisecond
	insistBurst = 50 // signals
	insistEvery = 2 * time.Millisecond
)

// How long, and how often, a fork is looked at that may become a stray, for which it needs less than strayTicks of a CPU.
const (
	strayPatience = 250 * time.Millisecond
	strayEvery    = time.Millisecond
	strayTicks    = 2 // hundredths of a second
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

// insist sends SIGINT again until the execution is over, and not after. The programs that bash runs get it seldom, since
// they may have caught it and be busy with ending in order. bash itself gets it in bursts, with its subshells while there
// is nothing else: a loop of short ones takes it only at certain moments.
func (b *bash) insist(over <-chan struct{}) {
	for end := time.Now().Add(kernel.Grace); time.Now().Before(end); {
		if !b.interruptAgain(over, insistPause, true) {
			return
		}
		for range insistBurst {
			if !b.interruptAgain(over, insistEvery, false) {
				return
			}
		}
	}
}

// interruptAgain sends SIGINT to bash after a pause, and to its whole group if programs in it are to get it, or if there
// are none. It reports whether the execution was not over by then. What goes wrong is left to the end of the grace, when
// bash is killed.
func (b *bash) interruptAgain(over <-chan struct{}, pause time.Duration, programs bool) bool {
	select {
	case <-over:
		return false
	case <-b.exited:
		return false
	case <-time.After(pause):
	}
	forks, alone := b.forks()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-over:
		return false
	default:
	}
	b.killStrays(forks) // first, since bash may wait for one
	signal := b.process.signal
	if programs || alone {
		signal = b.process.signalGroup
	}
	_ = signal(unix.SIGINT)
	return true
}

// forks returns the processes that look as if bash had forked them and they had executed no program: subshells, and
// strays. A stray is one that bash forked at the moment of an interrupt, and that took the signal as bash does: it has
// left what it was forked for, and gone back to the channel for the next line. Alone, bash's group has nothing but these.
func (b *bash) forks() (forks []int, alone bool) {
	pids, err := allPIDs() // without /proc, the strays that there may be are found out by what bash fails to do
	alone = err == nil
	same := []byte(strings.Join(b.language.Argv, "\x00") + "\x00")
	words := make([]byte, len(same)+1)
	for _, pid := range pids {
		if pid == b.process.pid {
			continue
		}
		size := readSome(fmt.Sprintf("/proc/%d/cmdline", pid), words)
		switch {
		case size == 0: // a dead one has no words
		case bytes.Equal(words[:size], same):
			forks = append(forks, pid)
		default:
			group, err := unix.Getpgid(pid)
			alone = alone && (err != nil || group != b.process.pid)
		}
	}
	return forks, alone
}

// killStrays kills the strays among forks: they have the channel as their standard input. So has what a DEBUG trap or
// PROMPT_COMMAND forks before bash reads a line; it is cut short. It reports whether there were any.
func (b *bash) killStrays(forks []int) (found bool) {
	stdin := fmt.Sprintf("socket:[%d]", b.channel.driver)
	_ = b.user.do(func() error { // nobody else may see what the user's processes have open
		link := make([]byte, len(stdin)+1)
		for _, pid := range forks {
			n, err := unix.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid), link)
			if err == nil && string(link[:n]) == stdin {
				_ = unix.Kill(pid, unix.SIGKILL)
				found = true
			}
		}
		return nil
	})
	return found
}

// ridOfStrays kills the strays that an interrupt has left, and returns when they are gone: one that dies may still take a
// line with it. It waits, not for long, for those that are yet to come to the channel.
func (b *bash) ridOfStrays(ctx context.Context) {
	for end := time.Now().Add(strayPatience); time.Now().Before(end); {
		forks, _ := b.forks()
		coming := slices.ContainsFunc(forks, isComing) // looked at before what they read, so that none slips through
		if found := b.killStrays(forks); !found && !coming {
			return
		}
		select {
		case <-time.After(strayEvery):
		case <-ctx.Done():
			return
		}
	}
}

// isComing reports whether a fork wants for a CPU or a page, and has not had much of a CPU yet: a subshell that computes
// in the background has.
func isComing(pid int) bool {
	stat := make([]byte, 512)
	stat = stat[:readSome(fmt.Sprintf("/proc/%d/stat", pid), stat)]
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on: proc(5)
	if len(fields) < 13 || fields[0] != "R" && fields[0] != "D" {
		return false
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user+system < strayTicks
}

// readSome reads the beginning of a file in /proc, and returns how much it has; 0 where the process is gone.
func readSome(path string, buffer []byte) int {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	n, _ := file.Read(buffer)
	return max(n, 0)
}
