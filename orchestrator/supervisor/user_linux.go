package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userThread is an OS thread that can act as the user of the container for the length of one function. What it does
// must not fork and must not call code that other threads finish: only plain system calls.
//
// It is locked for good, which also gives the Go runtime its template thread early: at the pids limit no thread can be
// started any more, and a runtime that needs one then ends the process.
type userThread struct {
	uid   int
	calls chan func()
}

// newUserThread starts the thread. It lives as long as the process.
func newUserThread(uid int) *userThread {
	t := &userThread{uid: uid, calls: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for call := range t.calls {
			call()
		}
	}()
	return t
}

// do runs fn on the thread with the user's real and effective uid and gid, and root's as the saved ones, to come back.
//
// The real uid has to be the user's as well: kill(2) lets a sender whose real uid is root's signal every process of
// root, and the bridges are such; and pipe buffers are accounted to the real uid, root's of which all containers share.
func (t *userThread) do(fn func() error) error {
	result := make(chan error)
	t.calls <- func() {
		err := setThreadIDs(unix.SYS_SETRESGID, unix.SYS_SETRESUID, t.uid)
		if err != nil {
			err = fmt.Errorf("act as uid %d: %w", t.uid, err)
		} else {
			err = fn()
		}
		if back := setThreadIDs(unix.SYS_SETRESUID, unix.SYS_SETRESGID, 0); back != nil {
			// A supervisor with a thread that is the user's would be the user's to hurt.
			fmt.Fprintf(os.Stderr, "supervisor: act as root again: %v\n", back)
			os.Exit(1)
		}
		result <- err
	}
	return <-result
}

// deafen blocks all signals on the thread for good. The user's processes may signal a thread that acts as the user, and
// the Go runtime takes one that is queued with the look of a fault for a fault. No AllThreadsSyscall returns after it.
func (t *userThread) deafen() error {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = math.MaxUint64
	}
	result := make(chan error)
	t.calls <- func() { result <- unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil) }
	if err := <-result; err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	return nil
}

// setThreadIDs sets the real and effective uid and gid of this thread only, which are one number; unix.Setresuid sets
// those of all threads. Only root may set the gid: it comes first on the way from root, and last on the way back.
func setThreadIDs(first, second, id int) error {
	for _, call := range []int{first, second} {
		if _, _, errno := unix.RawSyscall(uintptr(call), uintptr(id), uintptr(id), 0); errno != 0 {
			return errno
		}
	}
	return nil
}

// killAll kills every process of the user, without a fork, and returns when none is left. One pass reaches all of
// them, stopped ones and those that are being forked included; more passes are for what changed its uid in between.
func (t *userThread) killAll(ctx context.Context) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := t.do(func() error { return unix.Kill(-1, unix.SIGKILL) })
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("kill the processes of uid %d: %w", t.uid, err)
		}
		left, err := processesOf(t.uid)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("kill the processes of uid %d: %d are left: %w", t.uid, left, ctx.Err())
		}
	}
}

// processesOf counts the living processes of a user.
func processesOf(uid int) (int, error) {
	pids, err := allPIDs()
	if err != nil {
		return 0, fmt.Errorf("look for processes of uid %d: %w", uid, err)
	}
	count := 0
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && livesAs(string(status), uid) { // one that cannot be read is gone
			count++
		}
	}
	return count, nil
}

// allPIDs returns the pid of every process there is, zombies included.
func allPIDs() ([]int, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := proc.Readdirnames(-1)
	_ = proc.Close()
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// livesAs reports whether a process, by its /proc status, is alive and has a uid as one of its four.
func livesAs(status string, uid int) bool {
	want := strconv.Itoa(uid)
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "State:":
			if fields[1] == "Z" || fields[1] == "X" {
				return false
			}
		case "Uid:":
			for _, have := range fields[1:] {
				if have == want {
					return true
				}
			}
			return false
		}
	}
	return false
}
