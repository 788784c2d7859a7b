package supervisor

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// The bounds of what a kernel's death is told with.
const (
	bootTail     = 4 << 10 // of what it printed at boot
	maxLastWords = 4 << 10 // of what its driver said, or the interpreter
)

// exitOfSIGINT is the exit status of a shell that ends, under set -e, since SIGINT has ended its child.
const exitOfSIGINT = 128 + int(unix.SIGINT)

// exitOf says how a kernel died. A fault is what it was killed for by its own reader; the last words, which may be
// empty, are what its driver has said of it, or the interpreter.
func exitOf(status unix.WaitStatus, fault error, killed bool, lastWords string) Exit {
	switch {
	case fault != nil:
		return Exit{Value: fault.Error(), Cut: true}
	case status.Signaled():
		return Exit{
			Value:  "signal: " + status.Signal().String() + because(lastWords),
			Killed: status.Signal() == unix.SIGKILL && !killed,
			Cut:    status.Signal() == unix.SIGINT,
		}
	default:
		return Exit{
			Value: fmt.Sprintf("exit status %d%s", status.ExitStatus(), because(lastWords)),
			Cut:   status.ExitStatus() == exitOfSIGINT,
		}
	}
}

// processOf names the process of a language's kernel, for Exit. Its program may be a shell that has started the kernel.
func processOf(language Language, pid int) string {
	return fmt.Sprintf("%s, pid %d", language.Name, pid)
}

// because returns last words as the end of a sentence.
func because(lastWords string) string {
	if lastWords == "" {
		return ""
	}
	return fmt.Sprintf(": %.*s", maxLastWords, lastWords)
}

// lastWords returns what the driver of a dead kernel has said of its end; else, where the language knows such lines, what
// its interpreter has said on the standard error of the newest execution.
func (n *native) lastWords() string {
	n.mu.Lock()
	var newest *outputs
	if len(n.outputs) > 0 {
		newest = n.outputs[len(n.outputs)-1]
	}
	n.mu.Unlock()
	if n.dying != "" || n.language.Fatal == "" || newest == nil {
		return n.dying
	}
	newest.drain()
	newest.stderr.mu.Lock()
	defer newest.stderr.mu.Unlock()
	for line := range strings.Lines(newest.stderr.end) {
		if _, words, found := strings.Cut(line, n.language.Fatal); found {
			return strings.TrimSpace(words)
		}
	}
	return ""
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
