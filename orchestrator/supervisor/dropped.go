package supervisor

import "sort"

// droppedMarks is how many dropped events a journal remembers the places of.
const droppedMarks = 64 << 10

// dropped remembers where the newest events stood that the ring has dropped, so that a reader who resumes among them is
// told what exactly it misses. Which are the oldest does not depend on whose they are.
type dropped struct {
	limit int
	marks []mark // by their sequence numbers, since events are dropped in their order
}

// mark is the place of one event.
type mark struct {
	record uint64 // whose it was
	seq    uint64
	output int64 // bytes of the execution's output up to its end
}

// add remembers an event of a record.
func (d *dropped) add(r *record, after position) {
	d.marks = append(d.marks, mark{record: r.number, seq: after.seq, output: after.output})
	if len(d.marks) > d.limit {
		d.marks = d.marks[1:]
	}
}

// outputAt returns how much of a record's output a reader has passed who has seen the events up to a sequence number. It
// is not known if the last of these is forgotten.
func (d *dropped) outputAt(r *record, seq uint64) (output int64, known bool) {
	i := sort.Search(len(d.marks), func(i int) bool { return d.marks[i].seq > seq })
	for i--; i >= 0; i-- {
		if d.marks[i].record == r.number {
			return d.marks[i].output, true
		}
	}
	return 0, false
}
