//go:build integration

package abusetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"
)

// goroutines is how many there are, by the function that they run.
type goroutines map[string]int

// idleConnection begins the names of the two goroutines of each connection to the engine that is kept for the next call.
// How many those are is the engine client's affair; it closes them after half a minute.
const idleConnection = "net/http.(*Transport).dialConn"

// starters are outermost calls that only start what a goroutine runs.
var starters = []string{
	"runtime.goexit", "runtime.mcall", "runtime.main", "sync.(*WaitGroup).Go.func1", "cubby/orchestrator.(*Manager).inBackground.func1",
}

// parseGoroutines reads what Go tells of all goroutines when it is told to quit. Those of its own runtime do not count: how many
// there are is none of ours.
func parseGoroutines(dump string) goroutines {
	found := goroutines{}
	for block := range strings.SplitSeq(dump, "\n\n") {
		if !strings.HasPrefix(block, "goroutine ") {
			continue
		}
		runs := ""
		for line := range strings.SplitSeq(block, "\n") {
			call, _, isCall := cutLast(line, "(")
			if isCall && !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "created by ") && !slices.Contains(starters, call) {
				runs = call
			}
		}
		if !strings.HasPrefix(runs, "runtime.") {
			found[runs]++
		}
	}
	return found
}

// cutLast cuts a line at the last separator.
func cutLast(line, separator string) (before, after string, found bool) {
	at := strings.LastIndex(line, separator)
	if at < 0 {
		return line, "", false
	}
	return line[:at], line[at+len(separator):], true
}

// growth names what there is more of than before.
func (g goroutines) growth(before goroutines) (grown []string) {
	for _, runs := range slices.Sorted(maps.Keys(g)) {
		if !strings.HasPrefix(runs, idleConnection) && g[runs] > before[runs] {
			grown = append(grown, fmt.Sprintf("%s: %d, then %d", runs, before[runs], g[runs]))
		}
	}
	return grown
}

func (g goroutines) total() (n int) {
	for _, count := range g {
		n += count
	}
	return n
}

// goroutineTable is for the log.
func goroutineTable(before, after, crashed goroutines) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tbefore\tafter load\tafter crashes")
	all := maps.Clone(before)
	maps.Copy(all, after)
	maps.Copy(all, crashed)
	for _, runs := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", runs, before[runs], after[runs], crashed[runs])
	}
	fmt.Fprintf(w, "all\t%d\t%d\t%d\n", before.total(), after.total(), crashed.total())
	_ = w.Flush() // to memory
	return b.String()
}

func TestSoakCountsGoroutines(t *testing.T) {
	before := parseGoroutines("PC=0x1 m=0 sigcode=0\n\ngoroutine 1 [select]:\nmain.(*app).wait(0xc000, {0x1, 0x2})\n\t/x.go:1 +0x1\n" +
		"main.main()\n\t/x.go:2 +0x1\n\ngoroutine 7 [chan receive, 2 minutes]:\nruntime.gopark(...)\n\t/r.go:1 +0x1\n" +
		"cubby/orchestrator.(*session).read(0xc0001)\n\t/a.go:2 +0x1\nsync.(*WaitGroup).Go.func1()\n\t/w.go:1 +0x1\n" +
		"runtime.goexit({})\n\t/r.s:1 +0x1\ncreated by sync.(*WaitGroup).Go in goroutine 1\n\t/w.go:9 +0x1\n\n" +
		"goroutine 3 [GC worker (idle)]:\nruntime.gcBgMarkWorker(0xc0002)\n\t/m.go:1 +0x1\nruntime.goexit({})\n\t/r.s:1 +0x1\n\nrax    0x0\n")
	require.Equal(t, goroutines{"main.main": 1, "cubby/orchestrator.(*session).read": 1}, before)
	require.Empty(t, before.growth(before))
	require.Empty(t, goroutines{"main.main": 1, idleConnection + ".gowrap2": 4}.growth(before))
	require.Equal(t, []string{"x: 0, then 1"}, goroutines{"main.main": 1, "x": 1}.growth(before))
}
