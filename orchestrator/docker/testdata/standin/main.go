// Command standin stands in for the supervisor in the adapter's tests: as PID 1 it waits, or ends after its lease; as a
// bridge it answers each line with the same line, and the line "probe" with what it can do and see. Run as "control", on
// the host, it tells how the kernel answers the same system calls where nothing filters them.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "attach":
		attach()
	case len(os.Args) > 1 && os.Args[1] == "control":
		_ = json.NewEncoder(os.Stdout).Encode(answersTo(calls))
	default:
		wait()
	}
}

func wait() {
	var ended <-chan time.Time
	for i, arg := range os.Args {
		if arg == "--lease" {
			lease, _ := time.ParseDuration(os.Args[i+1])
			ended = time.After(lease)
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	select {
	case <-ended:
	case <-signals:
	}
}

func attach() {
	fmt.Fprintln(os.Stderr, "standin: attached")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		if lines.Text() == "probe" {
			_ = json.NewEncoder(os.Stdout).Encode(probe())
			continue
		}
		fmt.Println(lines.Text())
	}
}

// answersTo returns the answer to each call: "" for success, else the error.
func answersTo(calls map[string][5]uintptr) map[string]string {
	answers := map[string]string{}
	for name, call := range calls {
		_, _, errno := syscall.Syscall6(call[0], call[1], call[2], call[3], call[4], 0, 0)
		answers[name] = ""
		if errno != 0 {
			answers[name] = unix.ErrnoName(errno)
		}
	}
	return answers
}

// probe returns the answers to all calls, and what a process can write, is, and sees of the network.
func probe() map[string]string {
	answers := answersTo(calls)
	maps.Copy(answers, answersTo(sockets))
	for name, path := range map[string]string{"write /": "/x", "write /run": "/run/x", "write /tmp": "/tmp/x", "write /home/user": "/home/user/x"} {
		answers[name] = ""
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			answers[name] = err.Error()
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			answers[key] = strings.TrimSpace(value)
		}
	}
	routes, _ := os.ReadFile("/proc/net/route")
	answers["routes"] = fmt.Sprint(strings.Count(string(routes), "\n") - 1) // less the heading
	return answers
}

const bad = ^uintptr(0) // no valid pointer, descriptor, process or command

// calls have arguments that no kernel takes, so that none of them does anything.
var calls = map[string][5]uintptr{
	"io_uring_setup":    {unix.SYS_IO_URING_SETUP, 1, bad},
	"keyctl":            {unix.SYS_KEYCTL, bad},
	"add_key":           {unix.SYS_ADD_KEY, bad, bad},
	"request_key":       {unix.SYS_REQUEST_KEY, bad, bad},
	"ptrace":            {unix.SYS_PTRACE, 0x4206, 1 << 30}, // PTRACE_SEIZE
	"process_vm_readv":  {unix.SYS_PROCESS_VM_READV, 1 << 30, bad, 1, bad},
	"process_vm_writev": {unix.SYS_PROCESS_VM_WRITEV, 1 << 30, bad, 1, bad},
	"pidfd_getfd":       {unix.SYS_PIDFD_GETFD, bad, 0},
	"kcmp":              {unix.SYS_KCMP, 1 << 30, 1 << 30},
	"bpf":               {unix.SYS_BPF, bad, bad},
	"perf_event_open":   {unix.SYS_PERF_EVENT_OPEN, bad, bad},
	"userfaultfd":       {unix.SYS_USERFAULTFD, bad},
	"unshare user":      {unix.SYS_UNSHARE, unix.CLONE_NEWUSER | 1}, // with a flag that no kernel takes
	"clone user":        {unix.SYS_CLONE, unix.CLONE_NEWUSER | unix.CLONE_FS | unix.CLONE_NEWNS},
	"setns":             {unix.SYS_SETNS, bad, 0},
	"mount":             {unix.SYS_MOUNT, bad, bad, bad, 0},
}

// sockets are not tried on the host, whose kernel would load modules for them.
var sockets = map[string][5]uintptr{
	"socket AF_UNIX":       {unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0},
	"socket AF_INET":       {unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0},
	"socket AF_INET6":      {unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_DGRAM, 0},
	"socket AF_NETLINK":    {unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0},
	"socket AF_VSOCK":      {unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0},
	"socket AF_ALG":        {unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
	"socket AF_PACKET":     {unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0},
	"socket AF_KEY":        {unix.SYS_SOCKET, unix.AF_KEY, unix.SOCK_RAW, 2},
	"socket AF_TIPC":       {unix.SYS_SOCKET, unix.AF_TIPC, unix.SOCK_RDM, 0},
	"socket AF_CAN":        {unix.SYS_SOCKET, unix.AF_CAN, unix.SOCK_RAW, 1},
	"socket AF_RDS":        {unix.SYS_SOCKET, unix.AF_RDS, unix.SOCK_SEQPACKET, 0},
	"socket AF_ALG + 2^32": {unix.SYS_SOCKET, unix.AF_ALG | 1<<32, unix.SOCK_SEQPACKET, 0},
	"socketpair AF_TIPC":   {unix.SYS_SOCKETPAIR, unix.AF_TIPC, unix.SOCK_SEQPACKET, 0, bad},
}
