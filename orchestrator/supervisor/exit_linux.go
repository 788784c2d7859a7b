package supervisor

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// The bounds of what a kernel's death is told with.
const (
	bootTail     = 4 << 10 // of what it printed at boot
	maxLastWords = 4 << 10 // of what its driver said
)

// exitOf says how a kernel died. A fault is what it was killed for by its own reader; the last words, which may be
// empty, are what its driver has said of an exit.
func exitOf(status unix.WaitStatus, fault error, killed bool, lastWords string) Exit {
	switch {
	case fault != nil:
		return Exit{Value: fault.Error(), Cut: true}
	case status.Signaled():
		return Exit{
			Value:  "signal: " + status.Signal().String(),
			Killed: status.Signal() == unix.SIGKILL && !killed,
			Cut:    status.Signal() == unix.SIGINT,
		}
	case lastWords != "":
		return Exit{Value: fmt.Sprintf("exit status %d: %.*s", status.ExitStatus(), maxLastWords, lastWords)}
	default:
		return Exit{Value: fmt.Sprintf("exit status %d", status.ExitStatus())}
	}
}

// stillborn says that the kernel could not be started.
func (n *native) stillborn(err error) {
	n.exit = Exit{Value: err.Error()}
	close(n.exited)
}

// tail is a sink that keeps the end of what it is told.
type tail struct {
	mu   sync.Mutex
	text string
}

// Event implements Sink.
func (t *tail) Event(ev kernel.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += ev.Text
	t.text = t.text[max(0, len(t.text)-bootTail):]
}

// Ready implements Sink.
func (t *tail) Ready(int, <-chan struct{}) {}

// report returns the text as the end of an error.
func (t *tail) report() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == "" {
		return ""
	}
	return ": " + t.text
}
