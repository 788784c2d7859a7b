package supervisor

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// text is an event of n bytes of output.
func text(id string, n int) kernel.Event {
	return kernel.Event{ID: id, Type: kernel.TypeStdout, Text: strings.Repeat("x", n)}
}

// lifecycle is an event that lives outside the ring.
func lifecycle(id string, kind kernel.EventType) kernel.Event {
	return kernel.Event{ID: id, Type: kind}
}

// read returns all events of an execution after a sequence number, in short: type, seq and bytes.
func read(t *testing.T, j *journal, id string, after uint64) []string {
	t.Helper()
	return readFrom(t, j, id, j.seek(id, after))
}

// readFrom is read from a position.
func readFrom(t *testing.T, j *journal, id string, at position) (events []string) {
	t.Helper()
	for e, ok := j.next(id, at); ok; e, ok = j.next(id, at) {
		var ev kernel.Event
		require.NoError(t, json.Unmarshal(e.frame, &ev))
		require.Equal(t, byte('\n'), e.frame[len(e.frame)-1])
		require.Equal(t, id, ev.ID)
		require.Equal(t, ev.Seq, e.after.seq)
		require.Greater(t, ev.Seq, at.seq)
		at = e.after
		events = append(events, fmt.Sprintf("%s %d %d", ev.Type, ev.Seq, max(ev.Bytes, ev.OutputBytes())))
	}
	return events
}

// frameSize is what an event of 100 bytes takes in the ring.
var frameSize = len(kernel.Event{ID: "a", Seq: 1, Type: kernel.TypeStdout, Text: strings.Repeat("x", 100)}.Encode()) + entryOverhead

func TestJournal(t *testing.T) {
	cases := []struct {
		name   string
		events []kernel.Event
		room   int // for how many texts of 100 bytes
		after  uint64
		want   []string
	}{
		{
			"nothing was dropped",
			[]kernel.Event{lifecycle("a", kernel.TypeStarted), text("a", 100), lifecycle("a", kernel.TypeDone)},
			3, 0,
			[]string{"started 1 0", "stdout 2 100", "done 3 0"},
		},
		{
			"reader resumes",
			[]kernel.Event{lifecycle("a", kernel.TypeStarted), text("a", 100), lifecycle("a", kernel.TypeDone)},
			3, 2,
			[]string{"done 3 0"},
		},
		{
			"dropped neighbours are one gap",
			[]kernel.Event{lifecycle("a", kernel.TypeStarted), text("a", 100), text("a", 100), text("a", 100)},
			1, 0,
			[]string{"started 1 0", "gap 3 200", "stdout 4 100"},
		},
		{
			"an error between dropped ones keeps its place",
			[]kernel.Event{
				text("a", 100), lifecycle("a", kernel.TypeError), text("a", 100), text("a", 100),
				lifecycle("a", kernel.TypeDone), text("a", 100),
			},
			1, 0,
			[]string{"gap 1 100", "error 2 0", "gap 4 200", "done 5 0", "stdout 6 100"},
		},
		{
			"oldest goes first, whosever it is",
			[]kernel.Event{text("b", 100), text("a", 100), text("b", 100), text("a", 100)},
			2, 0,
			[]string{"gap 2 100", "stdout 4 100"},
		},
		{
			"reader that resumes behind a gap is told of none",
			[]kernel.Event{text("a", 100), text("a", 100), text("a", 100)},
			1, 2,
			[]string{"stdout 3 100"},
		},
		{
			"reader that resumes inside a gap is told what it misses",
			[]kernel.Event{text("a", 100), text("b", 70), text("a", 20), text("a", 100), text("a", 100)},
			1, 1,
			[]string{"gap 4 120", "stdout 5 100"},
		},
		{
			"one event larger than the ring is kept until the next",
			[]kernel.Event{text("a", 500)},
			1, 0,
			[]string{"stdout 1 500"},
		},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			j := newJournal(tt.room * (frameSize + 4))
			j.open("a")
			j.open("b")
			for _, ev := range tt.events {
				j.append(ev)
			}
			require.Equal(t, tt.want, read(t, j, "a", tt.after))
		})
	}
	t.Run("gap counts only what the reader misses", func(t *testing.T) {
		j := newJournal(2 * (frameSize + 4))
		j.open("a")
		j.append(text("a", 100))
		seen, ok := j.next("a", position{})
		require.True(t, ok)
		for range 3 {
			j.append(text("a", 100))
		}
		require.Equal(t, []string{"gap 2 100", "stdout 3 100", "stdout 4 100"}, readFrom(t, j, "a", seen.after))
	})
	t.Run("unread bytes are those that can still be read", func(t *testing.T) {
		j := newJournal(2 * (frameSize + 4))
		j.open("a")
		for range 3 {
			j.append(text("a", 100))
		}
		require.EqualValues(t, 2*(frameSize-entryOverhead), j.unread("a", position{}))
		require.EqualValues(t, frameSize-entryOverhead, j.unread("a", j.seek("a", 2)))
		require.Zero(t, j.unread("a", j.seek("a", 3)))
	})
	t.Run("endings outlive any amount of output", func(t *testing.T) {
		j := newJournal(10 * frameSize)
		for i := range 3 * kernel.Remembered {
			id := fmt.Sprint(i)
			j.open(id)
			j.append(lifecycle(id, kernel.TypeStarted))
			j.append(text(id, 1000))
			j.append(lifecycle(id, kernel.TypeDone))
		}
		require.Len(t, j.status(), kernel.Remembered)
		require.Equal(t, kernel.ExecutionStatus{
			ID: "383", Seq: 1152, State: kernel.ExecutionDone, Output: 1000,
			Done: &kernel.Event{ID: "383", Seq: 1152, Type: kernel.TypeDone},
		}, j.status()[127])
		require.False(t, j.knows("255"))
		require.Equal(t, []string{"started 769 0", "gap 770 1000", "done 771 0"}, read(t, j, "256", 0))
		require.LessOrEqual(t, j.size, j.limit)
	})
	t.Run("late output of a forgotten execution is dropped", func(t *testing.T) {
		j := newJournal(JournalSize)
		j.append(text("a", 1))
		require.Empty(t, j.status())
		require.Empty(t, j.ring)
	})
	t.Run("large error counts as output", func(t *testing.T) {
		j := newJournal(10 * frameSize)
		j.open("a")
		j.append(kernel.Event{ID: "a", Type: kernel.TypeError, Traceback: strings.Repeat("x", kernel.MaxKeptError)})
		j.append(text("a", 100))
		require.Equal(t, []string{"gap 1 65536", "stdout 2 100"}, read(t, j, "a", 0))
	})
	t.Run("result that fits no frame becomes a note", func(t *testing.T) {
		j := newJournal(JournalSize)
		j.open("a")
		large := json.RawMessage(`"` + strings.Repeat("x", kernel.MaxFrame) + `"`)
		j.append(kernel.Event{ID: "a", Type: kernel.TypeResult, Data: map[string]json.RawMessage{"image/png": large}, Main: true})
		e, ok := j.next("a", position{})
		require.True(t, ok)
		var ev kernel.Event
		require.NoError(t, json.Unmarshal(e.frame, &ev))
		require.True(t, ev.Main)
		require.Equal(t, `"[image/png of 8388679 bytes left out: more than the 8 MiB that fit a frame]"`, string(ev.Data["text/plain"]))
	})
	t.Run("error that fits no frame loses its middle", func(t *testing.T) {
		j := newJournal(JournalSize)
		j.open("a")
		j.append(kernel.Event{ID: "a", Type: kernel.TypeError, Name: "E", Traceback: strings.Repeat("x", kernel.MaxFrame)})
		e, ok := j.next("a", position{})
		require.True(t, ok)
		require.Less(t, len(e.frame), 300<<10)
		require.Contains(t, string(e.frame), "bytes left out")
	})
}

// heap returns how many bytes are in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestJournalTakesLittleMemory(t *testing.T) {
	for _, tt := range []struct {
		name  string
		count int
		each  func(j *journal, i int)
	}{
		{"one execution prints a byte very often", 20_000, func(j *journal, i int) {
			if i == 0 {
				j.open("a")
			}
			j.append(text("a", 1))
		}},
		{"very many executions print a byte", 8_000, func(j *journal, i int) {
			id := fmt.Sprintf("%026d", i)
			j.open(id)
			j.append(lifecycle(id, kernel.TypeStarted))
			j.append(text(id, 1))
			j.append(lifecycle(id, kernel.TypeDone))
		}},
		{"very many executions fail at length", 1_000, func(j *journal, i int) {
			id := fmt.Sprint(i)
			j.open(id)
			j.append(kernel.Event{ID: id, Type: kernel.TypeError, Traceback: strings.Repeat("x", kernel.MaxKeptError/8-100)})
			j.append(lifecycle(id, kernel.TypeDone))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := heap()
			const share = 8 // a journal of an eighth fills eight times as fast
			j := newJournal(JournalSize / share)
			j.dropped.limit = droppedMarks / share
			for i := range tt.count {
				tt.each(j, i)
			}
			taken := heap() - before
			t.Logf("%d bytes", taken)
			require.Less(t, taken, int64(3*JournalSize/share))
			runtime.KeepAlive(j)
		})
	}
}
