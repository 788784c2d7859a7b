package supervisor

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// bootTail is how much of what a kernel printed at boot is told when it dies of it.
const bootTail = 4 << 10

// exitOf says how a kernel died. A fault is what it was killed for by its own reader.
func exitOf(status unix.WaitStatus, fault error, killed bool) Exit {
	switch {
	case fault != nil:
		return Exit{Value: fault.Error()}
	case status.Signaled():
		return Exit{
			Value:  "signal: " + status.Signal().String(),
			Killed: status.Signal() == unix.SIGKILL && !killed,
		}
	default:
		return Exit{Value: fmt.Sprintf("exit status %d", status.ExitStatus())}
	}
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
