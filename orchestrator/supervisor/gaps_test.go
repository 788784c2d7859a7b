package supervisor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// played is a journal that a script has written, and what was written.
type played struct {
	*journal
	bytes  map[string]map[uint64]int64 // of output, by execution and sequence number
	reader map[string]*told            // one of each execution, which reads a little now and then
}

// told is what a reader has been told.
type told struct {
	at           position
	text, missed int64
	atMost       bool
}

// play has a script write a journal that remembers so many dropped events. A byte of it is an event: its execution, and
// what it is.
func play(t *testing.T, marks int, script []byte) *played {
	t.Helper()
	p := &played{journal: newJournal(10 * frameSize), bytes: map[string]map[uint64]int64{}, reader: map[string]*told{}}
	p.dropped.limit = marks
	for _, id := range []string{"a", "b", "c"} {
		p.open(id)
		p.bytes[id], p.reader[id] = map[uint64]int64{}, &told{}
	}
	for _, b := range script {
		id := string("abc"[int(b)%3])
		switch {
		case b > 250:
			p.append(lifecycle(id, kernel.TypeError))
		case b > 230:
			p.step(t, id, p.reader[id])
		default:
			p.append(text(id, int(b)))
			p.bytes[id][p.seq] = int64(b)
		}
		require.LessOrEqual(t, p.size, p.limit+2*frameSize+int(b))
		require.LessOrEqual(t, len(p.dropped.marks), marks)
	}
	return p
}

// step reads one event and reports whether there was one.
func (p *played) step(t *testing.T, id string, r *told) bool {
	t.Helper()
	e, ok := p.next(id, r.at)
	if !ok {
		return false
	}
	var ev kernel.Event
	require.NoError(t, json.Unmarshal(e.frame, &ev))
	require.Greater(t, ev.Seq, r.at.seq)
	r.at = e.after
	r.text += int64(len(ev.Text))
	r.missed += ev.Bytes
	r.atMost = r.atMost || ev.AtMost
	return true
}

// check holds what every reader is told, wherever it begins, against what was written.
func (p *played) check(t *testing.T) {
	t.Helper()
	for id, bytes := range p.bytes {
		for after := range p.seq + 2 {
			r := &told{at: p.seek(id, after)}
			for p.step(t, id, r) {
			}
			r.holds(t, bytes, after)
		}
		r := p.reader[id]
		for p.step(t, id, r) {
		}
		r.holds(t, bytes, 0)
		require.False(t, r.atMost, "a reader that is there knows what it has seen")
	}
}

// holds requires that the reader was told of all that was written after a sequence number.
func (r *told) holds(t *testing.T, bytes map[uint64]int64, after uint64) {
	t.Helper()
	var want int64
	for seq, size := range bytes {
		if seq > after {
			want += size
		}
	}
	if r.atMost {
		require.GreaterOrEqual(t, r.text+r.missed, want)
		return
	}
	require.Equal(t, want, r.text+r.missed, "after %d", after)
}

func TestGapsCountExactly(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			script := make([]byte, 20+random.IntN(180))
			for i := range script {
				script[i] = byte(random.IntN(256))
			}
			play(t, len(script), script).check(t)
			play(t, 7, script).check(t)
		})
	}
	t.Run("and say so where they cannot", func(t *testing.T) {
		script := make([]byte, 60)
		for i := range script {
			script[i] = 99 // 99 bytes of a's
		}
		p := play(t, 5, script)
		gap := p.ring[0].gaps[0]
		require.Greater(t, gap.after.seq, uint64(10))
		for after := range gap.after.seq {
			r := &told{at: p.seek("a", after)}
			require.True(t, p.step(t, "a", r))
			require.Equal(t, after > 0 && after < gap.after.seq-4, r.atMost, "after %d", after)
			want := int64(gap.after.seq-after) * 99
			if r.atMost {
				want = gap.after.output
			}
			require.Equal(t, want, r.missed, "after %d", after)
		}
	})
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 200, 4, 100, 7, 5, 6, 251, 99, 99, 99, 99, 99, 240, 99, 99, 240})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 500 {
			return
		}
		play(t, len(script)/4+1, script).check(t)
	})
}
