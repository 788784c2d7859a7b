//go:build integration

package abusetest

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"
)

// figure is something that is counted at rest.
type figure string

// What is counted. Memory is in KiB.
const (
	serverFDs     figure = "server: file descriptors"
	serverRSS     figure = "server: RSS (KiB)"
	containers    figure = "containers"
	volumes       figure = "volumes"
	networks      figure = "networks"
	execs         figure = "execs"
	supervisorFDs figure = "veterans' supervisors: file descriptors"
	supervisorRSS figure = "veterans' supervisors: RSS (KiB)"
	kernelRSS     figure = "veterans' kernels: RSS (KiB)"
	dockerdFDs    figure = "dockerd: file descriptors"
	dockerdRSS    figure = "dockerd: RSS (KiB)"
	mounts        figure = "/proc/mounts: lines"
)

// slack is by how much a figure may rise without being growth: the larger of a number and a part of what it was.
type slack struct {
	number int64
	part   float64
}

var slacks = map[figure]slack{
	serverFDs:     {number: 6}, // the engine client keeps so many idle connections, for half a minute
	serverRSS:     {number: 16 << 10, part: 0.1},
	containers:    {},
	volumes:       {},
	networks:      {},
	execs:         {},
	supervisorFDs: {},
	supervisorRSS: {number: veterans * 4 << 10, part: 0.1},
	kernelRSS:     {number: veterans * 16 << 10, part: 1}, // a REPL remembers its inputs, 1 KiB an execution (measured)
	dockerdFDs:    {number: 6},                            // the other ends of those connections
	dockerdRSS:    {number: 64 << 10, part: 0.1},          // it remembers ended execs for minutes, and what it frees comes back late
	mounts:        {},
}

// figures is the order in which they are told.
var figures = []figure{
	serverFDs, serverRSS, containers, volumes, networks, execs,
	supervisorFDs, supervisorRSS, kernelRSS, dockerdFDs, dockerdRSS, mounts,
}

// census is what was counted. What cannot be known on this machine, or says nothing because others use the engine, too,
// is not in it.
type census map[figure]int64

// growth names the figures that have risen beyond their slack.
func (c census) growth(base census) (grown []string) {
	for _, f := range figures {
		was, known := base[f]
		is, still := c[f]
		if !known || !still {
			continue
		}
		if s := slacks[f]; is > was+max(s.number, int64(s.part*float64(was))) {
			grown = append(grown, fmt.Sprintf("%s: %d, then %d", f, was, is))
		}
	}
	return grown
}

// table is for the log.
func table(base, end, crashed census) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tbefore\tafter load\tafter crashes")
	for _, f := range figures {
		fmt.Fprint(w, f)
		for _, c := range []census{base, end, crashed} {
			if value, known := c[f]; known {
				fmt.Fprintf(w, "\t%d", value)
			} else {
				fmt.Fprint(w, "\t-")
			}
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
	return b.String()
}

func TestSoakSeesGrowth(t *testing.T) {
	base := census{execs: 6, serverRSS: 400 << 10, volumes: 1}
	for name, tc := range map[string]struct {
		now  census
		want []string
	}{
		"nothing":                {census{execs: 6, serverRSS: 400 << 10, volumes: 1}, nil},
		"less":                   {census{execs: 5, serverRSS: 1, volumes: 0}, nil},
		"memory within a tenth":  {census{execs: 6, serverRSS: 440 << 10}, nil},
		"memory beyond a tenth":  {census{execs: 6, serverRSS: 441 << 10}, []string{"server: RSS (KiB): 409600, then 451584"}},
		"one exec":               {census{execs: 7}, []string{"execs: 6, then 7"}},
		"one volume":             {census{volumes: 2}, []string{"volumes: 1, then 2"}},
		"what was not known":     {census{mounts: 99}, nil},
		"the next life's memory": {census{serverRSS: 1 << 30}, []string{"server: RSS (KiB): 409600, then 1073741824"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, tc.now.growth(base))
		})
	}
	next := sight{census: base}.ofTheEngine()
	require.Empty(t, census{serverRSS: 1 << 30}.growth(next.census))
}
