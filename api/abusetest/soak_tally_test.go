//go:build integration

package abusetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxViolations is how many broken promises are told before a soak gives up.
const maxViolations = 20

// tally counts what happened in a soak. Its methods may be called concurrently.
type tally struct {
	mu         sync.Mutex
	executions int
	output     int64 // bytes
	missing    int64 // bytes of output that gaps told of
	ends       map[string]int
	faults     map[string]int
	cut        int // requests that the server's death cut off
	toldLosses int
	repeated   int // of them, those that the next server told once more
	unexpected int // losses that no fault explains
	orphans    int // contexts that may be there without anybody knowing them, since the server's death cut off an answer
	violations int
}

// outcome counts an execution that was read to its end.
func (y *tally) outcome(o outcome) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.ends == nil {
		y.ends = map[string]int{}
	}
	y.executions++
	y.output += int64(len(o.stdout))
	y.missing += o.missing
	y.ends[o.ending]++
	if o.state == "lost" {
		y.toldLosses++
	}
}

// fault counts something that was done to a context or the server.
func (y *tally) fault(name string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.faults == nil {
		y.faults = map[string]int{}
	}
	y.faults[name]++
}

func (y *tally) count(what *int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	*what++
}

// violation counts a broken promise and reports whether it is one too many.
func (y *tally) violation() (enough bool) {
	y.count(&y.violations)
	return y.tooMany()
}

func (y *tally) tooMany() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.violations >= maxViolations
}

// faulted is how many faults there were.
func (y *tally) faulted() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, count := range y.faults {
		n += count
	}
	return n
}

// lostPerThousand is how many contexts were lost without need, for each 1,000 faults.
func (y *tally) lostPerThousand() float64 {
	return 1000 * float64(y.unexpected) / float64(max(1, y.faulted()))
}

// String is for the log.
func (y *tally) String() string {
	faulted, lost := y.faulted(), y.lostPerThousand()
	y.mu.Lock()
	defer y.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d executions, %d MiB of output, %d KiB told as missing\n", y.executions, y.output>>20, y.missing>>10)
	fmt.Fprintf(&b, "endings: %s\n", counts(y.ends))
	fmt.Fprintf(&b, "%d faults: %s\n", faulted, counts(y.faults))
	fmt.Fprintf(&b, "%d requests were cut off by the server's death\n", y.cut)
	fmt.Fprintf(&b, "%d times a loss was told, %d of them once more by the next server\n", y.toldLosses, y.repeated)
	fmt.Fprintf(&b, "contexts lost without need: %d, for each 1,000 faults %.1f", y.unexpected, lost)
	return b.String()
}

func counts(of map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(all, ", ")
}
