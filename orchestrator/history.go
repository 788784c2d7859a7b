package orchestrator

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

const (
	// remembered is how many finished executions a session knows, as many as a supervisor's journal.
	remembered = 2 * kernel.QueueLength
	// maxEpitaph is how many bytes of words the record keeps of an ending.
	maxEpitaph = 1 << 10
)

// run is what a session knows of one execution: how far it has come, what repeats it on a new connection, and who reads
// it. The session's mu guards it.
type run struct {
	id          string
	generation  int
	state       kernel.ExecutionState
	seq         uint64 // of its newest event
	output      int64  // bytes of output and results; negative: not known
	done        *Event // how it ended, once that is known; its reader may be far behind
	over        bool   // its done has been heard from the journal, or will not be: it is under way no more
	archived    bool   // no journal has it any more: what is here is all there is
	request     kernel.Request
	interrupted bool

	reader  *Execution // the newest one; nil: nobody has read it here
	number  uint64     // of the reader
	awaited bool       // what comes before the reader's resumed belongs to the reader before
	until   uint64     // where the late output ends that the reader of a finished execution gets; 0: not known yet
}

// status returns where an execution of this session stands. The caller holds mu.
func (s *session) status(r *run) ExecutionStatus {
	status := ExecutionStatus{ID: r.id, Context: s.record.ID, Generation: r.generation, State: r.state, Seq: r.seq}
	if r.done != nil {
		done := *r.done
		status.Done = &done
	}
	return status
}

// known returns what the session knows of an execution, or nil. underWay is its index among those, or negative. The caller
// holds mu.
func (s *session) known(id string) (r *run, underWay int) {
	is := func(r *run) bool { return r.id == id }
	if i := slices.IndexFunc(s.executions, is); i >= 0 {
		return s.executions[i], i
	}
	if i := slices.IndexFunc(s.finished, is); i >= 0 {
		return s.finished[i], -1
	}
	return nil, -1
}

// ended notes how an execution ended. The caller holds mu.
func (r *run) ended(done Event) {
	r.done, r.state, r.seq = &done, kernel.ExecutionDone, max(r.seq, done.Seq)
	r.request = kernel.Request{Op: kernel.OpResume, ID: r.id} // its code is let go
}

// remember keeps a finished execution, and forgets the oldest ones. The caller holds mu.
func (s *session) remember(r *run) {
	r.over = true
	s.finished = append(s.finished, r)
	for len(s.finished) > remembered {
		s.finished[0].conclude()
		s.finished[0] = nil
		s.finished = s.finished[1:]
	}
}

// learn takes over what a supervisor tells of all its executions; it may have told newer things since. The caller holds
// mu.
func (s *session) learn(statuses []kernel.ExecutionStatus) {
	for _, told := range statuses {
		r, _ := s.known(told.ID)
		switch {
		case r != nil && r.archived:
			continue
		case r == nil && told.Done == nil: // adoptExecutions knows what to do
			continue
		case r == nil:
			r = &run{id: told.ID, generation: s.record.Generation}
			s.remember(r)
		}
		if told.Seq >= r.seq {
			r.seq, r.output, r.state = told.Seq, told.Output, told.State
		}
		if told.Done != nil {
			r.ended(*told.Done)
		}
	}
}

// conclude gives the reader of an execution whose journal is given up what is left to tell: a gap that counts what it
// has not been delivered, where that is known, and the done. The caller holds mu.
func (r *run) conclude() {
	r.archived = true
	if r.reader == nil {
		return
	}
	seq, delivered, whole := r.reader.seen()
	before := r.done.Seq - 1 // the gap's place
	if seq >= r.done.Seq {
		before = r.seq
	}
	if missing := r.output - delivered; missing > 0 && seq < before {
		r.reader.Deliver(Event{
			ID: r.id, Seq: before, Type: kernel.TypeGap, Time: time.Now(), Bytes: missing, AtMost: !whole,
		})
	}
	r.reader.Deliver(*r.done)
	r.reader.finish()
}

// endExecutions gives the journal of the container up. Every execution under way ends, with the done that its supervisor
// is known to have written, else with the given one. The caller has made sure that no connection delivers any more.
func (s *session) endExecutions(ending kernel.Ending, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	underWay := s.executions
	s.executions = nil
	s.lastUsed = time.Now()
	for _, r := range underWay {
		if r.done == nil {
			r.ended(Event{
				ID: r.id, Seq: r.seq + 1, Type: kernel.TypeDone, Time: time.Now(), Ending: ending, State: kernel.StateLost, Value: why,
			})
		}
		s.remember(r)
	}
	for _, r := range s.finished {
		if !r.archived {
			r.conclude()
		}
	}
}

// endings returns what the record keeps of the executions that no journal has any more. The caller holds mu.
func (s *session) endings() []store.Ending {
	list := make([]store.Ending, 0, len(s.finished))
	for _, r := range s.finished {
		if !r.archived {
			continue
		}
		short := *r.done
		if len(short.Value) > maxEpitaph {
			short.Value = strings.ToValidUTF8(short.Value[:maxEpitaph], "")
		}
		done, err := json.Marshal(short)
		if err != nil {
			continue // nothing in a done can fail to encode
		}
		list = append(list, store.Ending{ID: r.id, Generation: r.generation, Output: r.output, Done: done})
	}
	return list
}

// recall returns the executions that a record remembers.
func recall(endings []store.Ending) []*run {
	var list []*run
	for _, e := range endings {
		r := &run{id: e.ID, generation: e.Generation, output: e.Output, archived: true}
		var done Event
		if json.Unmarshal(e.Done, &done) != nil || done.Type != kernel.TypeDone {
			continue
		}
		r.ended(done)
		list = append(list, r)
	}
	return list
}
