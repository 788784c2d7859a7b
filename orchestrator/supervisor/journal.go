package supervisor

import (
	"slices"

	"cubby/orchestrator/kernel"
)

// The bounds of a journal.
const (
	// JournalSize is how many bytes of output and results a journal keeps, over all executions.
	JournalSize = 8 << 20
	// entryOverhead is what an entry costs in memory beside its frame. Without it, a million events of one byte
	// would take many times JournalSize.
	entryOverhead = 128
)

// journal holds the events of the executions of one supervisor, ready to be sent. Output and results share a ring of
// limited size; started, error and done of the last executions live outside it, so that an ending is never lost. What
// the ring drops is told as gaps. It is not safe for concurrent use.
type journal struct {
	limit    int
	size     int // of all entries in the ring
	seq      uint64
	records  map[string]*record
	opened   []*record // in the order of opening
	openings uint64
	finished []*record          // oldest first
	wanted   func(*record) bool // a finished execution is still being read, so that it must not be forgotten
	ring     []*record          // whose oldest entry is the next to be dropped, oldest first
	dropped  dropped
}

// newJournal returns a journal whose ring holds limit bytes.
func newJournal(limit int) *journal {
	return &journal{
		limit: limit, records: map[string]*record{}, dropped: dropped{limit: droppedMarks},
		wanted: func(*record) bool { return false },
	}
}

// open begins the record of an execution, which the journal must not know yet.
func (j *journal) open(id string) {
	j.openings++
	r := &record{id: id, number: j.openings, state: kernel.ExecutionQueued}
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
		list = append(list, r.status())
	}
	return list
}

// status returns where the execution stands.
func (r *record) status() kernel.ExecutionStatus {
	return kernel.ExecutionStatus{ID: r.id, Seq: r.newest, State: r.state, Output: r.output, Done: r.done}
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
	frame := ev.Encode()
	if len(frame) > kernel.MaxFrame {
		ev = tooLarge(ev, len(frame))
		frame = ev.Encode()
	}
	r.newest = ev.Seq
	switch {
	case ev.Type == kernel.TypeStarted:
		r.state = kernel.ExecutionRunning
	case ev.Type == kernel.TypeDone:
		done := ev
		r.state, r.done = kernel.ExecutionDone, &done
		defer j.finish(r)
	case ev.Type == kernel.TypeError && len(frame) <= kernel.MaxKeptError:
	default:
		j.push(r, ev, frame)
		return
	}
	r.kept = append(r.kept, entry{frame: frame, kept: true, after: r.end()})
}

// push puts an entry into the ring and drops the oldest ones that no longer fit.
func (j *journal) push(r *record, ev kernel.Event, frame []byte) {
	r.output += ev.OutputBytes()
	r.total += int64(len(frame))
	r.ring = append(r.ring, entry{frame: frame, after: r.end()})
	j.ring = append(j.ring, r)
	j.size += len(frame) + entryOverhead
	for j.size > j.limit && len(j.ring) > 1 {
		oldest := j.ring[0]
		j.ring[0] = nil
		j.ring = j.ring[1:]
		e := oldest.drop()
		if j.records[oldest.id] == oldest {
			j.dropped.add(oldest, e.after)
		}
		j.size -= len(e.frame) + entryOverhead
	}
}

// finish remembers that an execution is over, and forgets the oldest ones when there are too many.
func (j *journal) finish(r *record) {
	j.finished = append(j.finished, r)
	excess := len(j.finished) - kernel.Remembered
	j.finished = slices.DeleteFunc(j.finished, func(old *record) bool {
		if excess <= 0 || j.wanted(old) {
			return false
		}
		excess--
		delete(j.records, old.id)
		old.forget()
		return true
	})
	j.opened = slices.DeleteFunc(j.opened, func(old *record) bool { return j.records[old.id] != old })
}
