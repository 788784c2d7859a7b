package supervisor

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"

	"cubby/orchestrator/kernel"
)

// The bounds of a journal.
const (
	// JournalSize is how many bytes of output and results a journal keeps, over all executions.
	JournalSize = 8 << 20
	// journalExecutions is how many finished executions a journal remembers: more than can end while nobody is attached.
	// One that was forgotten then would be run again when it is repeated.
	journalExecutions = 2 * kernel.QueueLength
	// entryOverhead is what an entry costs in memory beside its frame. Without it, a million events of one byte
	// would take many times JournalSize.
	entryOverhead = 128
	// maxKeptError is the longest error frame that is kept outside the ring; a longer one counts as output.
	maxKeptError = 64 << 10
)

// journal holds the events of the executions of one supervisor, ready to be sent. Output and results share a ring of
// limited size; started, error and done of the last executions live outside it, so that an ending is never lost. What
// the ring drops is told as gaps. It is not safe for concurrent use.
type journal struct {
	limit    int
	size     int // of all entries in the ring
	seq      uint64
	records  map[string]*record
	opened   []*record          // in the order of opening
	finished []*record          // oldest first
	wanted   func(*record) bool // a finished execution is still being read, so that it must not be forgotten
	ring     []*record          // whose oldest entry is the next to be dropped, oldest first
}

// record is what the journal holds of one execution.
type record struct {
	id     string
	state  kernel.ExecutionState
	done   *kernel.Event
	newest uint64
	kept   []entry // lifecycle events
	gaps   []gap   // what the ring dropped; one between two kept entries at most
	ring   []entry // output and results
	output int64   // bytes of output so far
	total  int64   // bytes of frames in the ring so far
	lost   int64   // bytes of frames that the ring dropped
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
}

// newJournal returns a journal whose ring holds limit bytes.
func newJournal(limit int) *journal {
	return &journal{limit: limit, records: map[string]*record{}, wanted: func(*record) bool { return false }}
}

// open begins the record of an execution, which the journal must not know yet.
func (j *journal) open(id string) {
	r := &record{id: id, state: kernel.ExecutionQueued}
	j.records[id] = r
	j.opened = append(j.opened, r)
}

// knows reports whether the journal remembers an execution.
func (j *journal) knows(id string) bool { return j.records[id] != nil }

// newest returns the sequence number of an execution's newest event, or 0.
func (j *journal) newest(id string) uint64 {
	if r := j.records[id]; r != nil {
		return r.newest
	}
	return 0
}

// status lists the executions that the journal remembers, in the order of their opening.
func (j *journal) status() []kernel.ExecutionStatus {
	list := make([]kernel.ExecutionStatus, 0, len(j.opened))
	for _, r := range j.opened {
		list = append(list, kernel.ExecutionStatus{ID: r.id, Seq: r.newest, State: r.state, Output: r.output, Done: r.done})
	}
	return list
}

// append gives an event the next sequence number and keeps it. Events of an execution that the journal does not know
// are dropped: they are late output of one that it has forgotten.
func (j *journal) append(ev kernel.Event) {
	r := j.records[ev.ID]
	if r == nil {
		return
	}
	j.seq++
	ev.Seq = j.seq
	frame := encode(ev)
	if len(frame) > kernel.MaxFrame {
		ev = tooLarge(ev, len(frame))
		frame = encode(ev)
	}
	r.newest = ev.Seq
	switch {
	case ev.Type == kernel.TypeStarted:
		r.state = kernel.ExecutionRunning
	case ev.Type == kernel.TypeDone:
		done := ev
		r.state, r.done = kernel.ExecutionDone, &done
		defer j.finish(r)
	case ev.Type == kernel.TypeError && len(frame) <= maxKeptError:
	default:
		j.push(r, ev, frame)
		return
	}
	r.kept = append(r.kept, entry{frame: frame, kept: true, after: position{ev.Seq, r.output, r.total}})
}

// push puts an entry into the ring and drops the oldest ones that no longer fit.
func (j *journal) push(r *record, ev kernel.Event, frame []byte) {
	r.output += outputBytes(ev)
	r.total += int64(len(frame))
	r.ring = append(r.ring, entry{frame: frame, after: position{ev.Seq, r.output, r.total}})
	j.ring = append(j.ring, r)
	j.size += len(frame) + entryOverhead
	for j.size > j.limit && len(j.ring) > 1 {
		oldest := j.ring[0]
		j.ring[0] = nil
		j.ring = j.ring[1:]
		j.size -= oldest.drop() + entryOverhead
	}
}

// drop turns the oldest entry of the ring into a gap, or into more of the last gap, and returns its size.
func (r *record) drop() int {
	e := r.ring[0]
	r.ring[0] = entry{}
	r.ring = r.ring[1:]
	r.lost = e.after.total
	if n := len(r.gaps); n > 0 && !r.keptBetween(r.gaps[n-1].after.seq, e.after.seq) {
		r.gaps[n-1].after = e.after
		return len(e.frame)
	}
	before := int64(0)
	if n := len(r.gaps); n > 0 {
		before = r.gaps[n-1].after.output
	}
	r.gaps = append(r.gaps, gap{first: e.after.seq, before: before, after: e.after})
	return len(e.frame)
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

// finish remembers that an execution is over, and forgets the oldest ones when there are too many. What they have in
// the ring stays there, unread, until its turn to be dropped comes.
func (j *journal) finish(r *record) {
	j.finished = append(j.finished, r)
	excess := len(j.finished) - journalExecutions
	j.finished = slices.DeleteFunc(j.finished, func(old *record) bool {
		if excess <= 0 || j.wanted(old) {
			return false
		}
		excess--
		delete(j.records, old.id)
		old.kept, old.gaps = nil, nil
		return true
	})
	j.opened = slices.DeleteFunc(j.opened, func(old *record) bool { return j.records[old.id] != old })
}

// seek returns the position of a reader who has seen an execution's events up to a sequence number.
func (j *journal) seek(id string, seq uint64) position {
	r := j.records[id]
	if r == nil {
		return position{seq: seq}
	}
	at := position{seq: seq, output: r.output, total: r.total}
	if i := r.search(seq); i < len(r.ring) {
		next := r.ring[i].after
		at.total = next.total - int64(len(r.ring[i].frame))
		at.output = 0
		if i > 0 {
			at.output = r.ring[i-1].after.output
		} else if n := len(r.gaps); n > 0 {
			at.output = r.gaps[n-1].after.output
		}
	}
	for i := len(r.gaps) - 1; i >= 0 && seq < r.gaps[i].after.seq; i-- {
		at.output = r.gaps[i].before
	}
	return at
}

// next returns the first entry after a position: an event, or a gap for what was dropped there. A gap counts the
// bytes that the reader misses; one that resumes in the middle of what was dropped is told the whole.
func (j *journal) next(id string, at position) (entry, bool) {
	r := j.records[id]
	if r == nil {
		return entry{}, false
	}
	var first *entry
	if i := r.search(at.seq); i < len(r.ring) {
		first = &r.ring[i]
	}
	for i, e := range r.kept {
		if e.after.seq > at.seq {
			if first == nil || e.after.seq < first.after.seq {
				first = &r.kept[i]
			}
			break
		}
	}
	for _, g := range r.gaps {
		if g.after.seq <= at.seq {
			continue
		}
		if first != nil && first.after.seq < g.first {
			break
		}
		missing := g.after.output - max(g.before, at.output)
		ev := kernel.Event{ID: id, Seq: g.after.seq, Type: kernel.TypeGap, Bytes: missing}
		return entry{frame: encode(ev), after: g.after}, true
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

// search returns the index of the first entry in the ring after a sequence number.
func (r *record) search(seq uint64) int {
	return sort.Search(len(r.ring), func(i int) bool { return r.ring[i].after.seq > seq })
}

// outputBytes returns how much output an event carries, as a gap counts it.
func outputBytes(ev kernel.Event) int64 {
	n := len(ev.Text) + len(ev.Value) + len(ev.Traceback)
	for _, value := range ev.Data {
		n += len(value)
	}
	return int64(n)
}

// encode returns an event as a frame, its newline included. Nothing in an event can fail to encode but a result's
// data, which the adapter has parsed from JSON.
func encode(ev kernel.Event) []byte {
	var frame bytes.Buffer
	encoder := json.NewEncoder(&frame)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(ev); err != nil {
		frame.Reset()
		_ = encoder.Encode(kernel.Event{ID: ev.ID, Seq: ev.Seq, Type: ev.Type, Value: err.Error()})
	}
	return frame.Bytes()
}
