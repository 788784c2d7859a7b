package supervisor

import (
	"context"
	"errors"

	"cubby/orchestrator/kernel"
)

// Adapter is the way to one kernel: it boots the kernel, hands it code and tells what comes back. One adapter serves
// one kernel process; when that has died, the adapter is of no more use.
//
// Boot is called once and first. Setup, Execute and Ping are called one at a time. Interrupt and Kill may be called at
// any time after Boot was called, also while another method runs, and from several goroutines.
type Adapter interface {
	// Boot starts the kernel and returns the version of its interpreter once it takes requests. The error of a
	// kernel that died says how, and what it printed.
	Boot(ctx context.Context) (version string, err error)
	// Setup gives the kernel its working directory and adds to its environment, for good. The error of a directory
	// that does not do is a *CwdError; after any other the kernel is of no more use.
	Setup(ctx context.Context, cwd string, env map[string]string) error
	// Execute runs code. It tells the sink of started, output, results and the error in their order, and returns nil
	// once the kernel says that it is done, with all output from before that told. After an error the kernel is of no
	// more use; it is ErrExited when the kernel died. Output that comes later still goes to the sink.
	Execute(ctx context.Context, run Run, sink Sink) error
	// Ping waits until the kernel shows that it takes requests. After an error it is of no more use.
	Ping(ctx context.Context) error
	// Interrupt asks the kernel, and what it has started, to end the execution. A dead kernel is no error.
	Interrupt() error
	// Kill kills every process of the user and returns when none is left. That there are none is no error.
	Kill(ctx context.Context) error
	// Exited is closed when the kernel is dead. It is never nil.
	Exited() <-chan struct{}
	// Exit says how the kernel died; it is valid once Exited is closed.
	Exit() Exit
}

// Run is the code of one execution.
type Run struct {
	ID   string
	Code string
	Env  map[string]string // for this execution only
}

// Sink takes what an execution tells. Its methods may be called concurrently, and also after the execution is over.
type Sink interface {
	// Event takes a started, stdout, stderr, result or error event. Whoever made the sink fills in its id, sequence
	// number and time.
	Event(ev kernel.Event)
	// Ready waits until size more bytes find room before a reader that keeps acknowledging, or until stop is closed.
	// Call it before taking more from the kernel.
	Ready(size int, stop <-chan struct{})
}

// Exit is how a kernel died.
type Exit struct {
	Value   string // for a person: "exit status 0", "signal: segmentation fault"
	Process string // which process the kernel was, for a person: "python, pid 7"; empty: not known
	Killed  bool   // by a SIGKILL that the adapter did not send
	Cut     bool   // in a way that an interrupt explains: by SIGINT, its own or its child's, or for a frame that was not whole
}

// who names the process, in brackets.
func (e Exit) who() string {
	if e.Process == "" {
		return ""
	}
	return " (" + e.Process + ")"
}

// ErrExited says that the kernel has died.
var ErrExited = errors.New("kernel exited")

// CwdError says why a working directory does not do, in words for the user.
type CwdError struct{ Value string }

// Error implements error.
func (e *CwdError) Error() string { return e.Value }

// Sample is one reading of what the container uses.
type Sample struct {
	CPUMillis   int64 // CPU time so far
	MemoryBytes int64 // memory in use now
	OOMKills    int64 // processes killed so far because memory ran out
}
