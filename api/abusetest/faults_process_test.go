//go:build integration

package abusetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestPressure: a server with little memory streams what is large, and one that crashes from within is as good as
// killed.
func TestPressure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cubby")
	overlay{}.build(t, t.TempDir(), path, "./cmd/cubby") // without the race detector, which needs memory of its own
	s := startProgram(t, path)
	t.Run("F7 large outputs in little memory", func(t *testing.T) { press(t, newArena(t, s)) })
	t.Run("F7 a crash from within", func(t *testing.T) { crashWithin(t, newArena(t, s)) })
}

// press lets several contexts write much at once through a server that is to keep to 64 MiB.
func press(t *testing.T, a *arena) {
	const soft, hard = 64 << 20, 160 << 20 // what the runtime aims at, and what the process may take
	a.kill(t)
	a.env = []string{fmt.Sprintf("GOMEMLIMIT=%d", soft)}
	defer func() { a.env = nil }()
	a.start(t)
	stop := a.watch(t)
	more := []string{a.create(t), a.create(t)}
	codes := map[string]string{
		a.attacked: "!yes | head -c 50000000",
		more[0]:    "import os\nfor i in range(500): os.write(1, b'y\\n' * 50000)",
		more[1]:    "print('y' * 25000000 + '\\n' + 'y' * 24999998)",
	}
	var reading sync.WaitGroup
	sums := make(chan outputSum, len(codes))
	for id, code := range codes {
		st := a.begin(t, id, code)
		reading.Go(func() { sums <- st.sum() })
	}
	reading.Wait()
	close(sums)
	for sum := range sums {
		require.NoError(t, sum.err)
		require.Equal(t, "ok", sum.ending)
		require.EqualValues(t, 50_000_000, sum.came+sum.missing)
		t.Logf("%d bytes came, %d were counted as missing", sum.came, sum.missing)
	}
	most := highWater(t, a.pid())
	t.Logf("the server's memory at its most: %d MiB", most>>20)
	require.Less(t, most, int64(hard))
	for _, id := range more {
		a.remove(t, id)
	}
	a.requireIntact(t, a.attacked)
	stop()
}

// outputSum is how much an execution wrote, for output that is too large to keep.
type outputSum struct {
	came, missing int64
	ending        string
	err           error
}

// sum reads a stream to its end and keeps nothing of it.
func (st *stream) sum() (s outputSum) {
	for {
		text, err := st.body.ReadBytes('\n')
		if err != nil {
			s.err = err
			return s
		}
		line, err := wire.ParseLine(text)
		switch line := line.(type) {
		case wire.Output:
			s.came += int64(len(line.Text))
		case wire.Gap:
			s.missing += line.Bytes
		case wire.EndOfExecution:
			s.ending = line.Ending
			return s
		}
		if err != nil {
			s.err = err
			return s
		}
	}
}

// highWater is the most memory that a process has held.
func highWater(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(procFile(pid, "status"))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			require.NoError(t, err)
			return kib << 10
		}
	}
	require.Fail(t, "the process tells nothing of its memory")
	return 0
}

// crashWithin ends a server as a panic does that nobody recovers: its runtime gives up, with the stacks of all that it
// did. A panic of a handler costs its own request only, which is the API's test.
func crashWithin(t *testing.T, a *arena) {
	kernel := a.box.kernel(t).pid
	counter := a.count(t, a.attacked, 300)
	counter.until(t, 20)
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGQUIT))
	a.await(t)
	require.Equal(t, 2, a.cmd.ProcessState.ExitCode(), "that of a crash")
	log, err := os.ReadFile(a.log)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(log), "SIGQUIT: quit"))
	a.start(t)
	counter.end(t)
	a.requireIntact(t, a.attacked)
	a.requireIntact(t, a.neighbour)
	require.Equal(t, kernel, a.box.kernel(t).pid)
}
