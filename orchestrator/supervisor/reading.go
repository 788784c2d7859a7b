package supervisor

import (
	"slices"
	"sort"

	"cubby/orchestrator/kernel"
)

// seek returns the position of a reader who has seen an execution's events up to a sequence number.
func (j *journal) seek(id string, seq uint64) position {
	r := j.records[id]
	if r == nil {
		return position{seq: seq}
	}
	if i := r.search(seq); i > 0 {
		at := r.ring[i-1].after
		at.seq = seq
		return at
	}
	at := position{seq: seq, total: r.lost}
	for _, g := range slices.Backward(r.gaps) {
		if seq >= g.after.seq {
			at.output = g.after.output
			return at
		}
		if seq >= g.first {
			output, known := j.dropped.outputAt(r, seq)
			at.output, at.vague = max(output, g.before), !known
			return at
		}
	}
	return at
}

// next returns the first entry after a position: an event, or a gap for what was dropped there, which counts the bytes
// that this reader misses.
func (j *journal) next(id string, at position) (entry, bool) {
	r := j.records[id]
	if r == nil {
		return entry{}, false
	}
	first := r.after(at.seq)
	for _, g := range r.gaps {
		if g.after.seq <= at.seq {
			continue
		}
		if first != nil && first.after.seq < g.first {
			break
		}
		ev := kernel.Event{
			ID: id, Seq: g.after.seq, Type: kernel.TypeGap,
			Bytes: g.after.output - max(g.before, at.output), AtMost: at.vague && g.first <= at.seq,
		}
		return entry{frame: ev.Encode(), after: g.after}, true
	}
	if first == nil {
		return entry{}, false
	}
	return *first, true
}

// unread returns how many bytes of output and results a reader at a position has yet to read.
func (j *journal) unread(id string, at position) int64 {
	r := j.records[id]
	if r == nil {
		return 0
	}
	return r.total - max(at.total, r.lost)
}

// after returns the first event after a sequence number that is still there, or nil.
func (r *record) after(seq uint64) *entry {
	var first *entry
	if i := r.search(seq); i < len(r.ring) {
		first = &r.ring[i]
	}
	for i := range r.kept {
		if r.kept[i].after.seq <= seq {
			continue
		}
		if first == nil || r.kept[i].after.seq < first.after.seq {
			first = &r.kept[i]
		}
		break
	}
	return first
}

// search returns the index of the first entry in the ring after a sequence number.
func (r *record) search(seq uint64) int {
	return sort.Search(len(r.ring), func(i int) bool { return r.ring[i].after.seq > seq })
}
