package supervisor

import "cubby/orchestrator/kernel"

// record is what the journal holds of one execution.
type record struct {
	id     string
	number uint64 // in the order of opening
	state  kernel.ExecutionState
	done   *kernel.Event // once it is over
	newest uint64        // sequence number of its newest event
	kept   []entry       // lifecycle events
	gaps   []gap         // what the ring dropped; one between two kept entries at most
	ring   []entry       // output and results
	output int64         // bytes of output so far
	total  int64         // bytes of frames in the ring so far
	lost   int64         // bytes of frames that the ring dropped
}

// entry is one event, encoded.
type entry struct {
	frame []byte
	kept  bool     // it is a lifecycle event, which no window holds back
	after position // where a reader stands who has read it
}

// gap stands for consecutive entries that were dropped.
type gap struct {
	first  uint64
	before int64    // bytes of output before it
	after  position // where a reader stands who was told of it
}

// position is how far a reader has come in one execution. The zero value is its beginning.
type position struct {
	seq    uint64
	output int64
	total  int64
	vague  bool // inside a gap, and nobody knows how far: output is that before the gap
}

// end returns the position of a reader who has read everything.
func (r *record) end() position { return position{seq: r.newest, output: r.output, total: r.total} }

// drop turns the oldest entry of the ring into a gap, or into more of the last gap, and returns it.
func (r *record) drop() entry {
	e := r.ring[0]
	r.ring[0] = entry{}
	if r.ring = r.ring[1:]; len(r.ring) == 0 {
		r.ring = nil
	}
	r.lost = e.after.total
	if n := len(r.gaps); n > 0 && !r.keptBetween(r.gaps[n-1].after.seq, e.after.seq) {
		r.gaps[n-1].after = e.after
		return e
	}
	before := int64(0)
	if n := len(r.gaps); n > 0 {
		before = r.gaps[n-1].after.output
	}
	r.gaps = append(r.gaps, gap{first: e.after.seq, before: before, after: e.after})
	return e
}

// keptBetween reports whether a lifecycle event lies between two sequence numbers.
func (r *record) keptBetween(low, high uint64) bool {
	for _, e := range r.kept {
		if low < e.after.seq && e.after.seq < high {
			return true
		}
	}
	return false
}

// forget drops what is kept of an execution. What it has in the ring stays there, unread, until its turn to be dropped
// comes.
func (r *record) forget() { r.kept, r.gaps, r.done = nil, nil, nil }
