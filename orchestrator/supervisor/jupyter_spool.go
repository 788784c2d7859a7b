package supervisor

import (
	"fmt"
	"sync"

	"cubby/orchestrator/kernel"
)

// spoolSize is how much output the spool of a kernel holds.
const spoolSize = 4 * kernel.MaxFrame

// maxOmissions is how often a spool notes that something was left out.
const maxOmissions = 1024

// spool takes output as fast as a kernel publishes it, since a kernel drops what is not taken, and tells sinks of it as
// fast as they take it. What does not fit is left out and counted.
type spool struct {
	dead  <-chan struct{} // once closed, nobody is waited for
	limit int64           // how much it holds at most: output, and entryOverhead for each item

	mu        sync.Mutex
	items     []*spooled
	size      int64
	omissions int           // how many items are of what was left out
	wake      chan struct{} // there is something new; capacity 1
	closed    bool
	ended     chan struct{} // closed when all is told that was put before the close
}

// spooled is an event to be told, or a mark.
type spooled struct {
	sink    Sink
	ev      kernel.Event
	text    []byte        // of a stream
	late    bool          // of an execution that is over: it waits for nobody
	size    int64         // what it takes of the limit
	omitted int64         // bytes that are left out here
	passed  chan struct{} // a mark: closed when all before it is told
}

// newSpool returns a spool; somebody has to run it.
func newSpool(dead <-chan struct{}, limit int64) *spool {
	return &spool{dead: dead, limit: limit, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// put takes an event for a sink.
func (s *spool) put(sink Sink, ev kernel.Event, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed { // by the kernel's death: what left-over processes print until they are killed
		sink.Event(ev)
		return
	}
	size := ev.OutputBytes() + entryOverhead
	if ev.Type == kernel.TypeError {
		size = 0 // a cell has one, which is never left out
	}
	var last *spooled
	if n := len(s.items); n > 0 && s.items[n-1].sink == sink && s.items[n-1].passed == nil {
		last = s.items[n-1]
	}
	switch {
	case s.size+size > s.limit:
		s.omit(last, sink, ev.OutputBytes(), late)
	case last != nil && ev.Text != "" && last.ev.Type == ev.Type && len(last.text)+len(ev.Text) <= kernel.MaxText:
		last.text = append(last.text, ev.Text...)
		last.size += ev.OutputBytes()
		s.size += ev.OutputBytes()
	default:
		text := []byte(ev.Text)
		ev.Text = ""
		s.items = append(s.items, &spooled{sink: sink, ev: ev, text: text, size: size, late: late})
		s.size += size
	}
	s.poke()
}

// omit counts what does not fit, in the last item where that is of the same sink. Of very many sinks by turns, what is left
// out is not told. The caller holds mu.
func (s *spool) omit(last *spooled, sink Sink, size int64, late bool) {
	if last == nil || last.omitted == 0 {
		if s.omissions == maxOmissions {
			return
		}
		s.omissions++
		last = &spooled{sink: sink, late: late}
		s.items = append(s.items, last)
	}
	last.omitted += size
}

// flush waits until all is told that was put before.
func (s *spool) flush() {
	passed := make(chan struct{})
	s.mu.Lock()
	s.items = append(s.items, &spooled{passed: passed})
	s.poke()
	s.mu.Unlock()
	select {
	case <-passed:
	case <-s.ended:
	}
}

// close ends run once all is told, and waits for that.
func (s *spool) close() {
	s.mu.Lock()
	s.closed = true
	s.poke()
	s.mu.Unlock()
	<-s.ended
}

// poke wakes run up. The caller holds mu.
func (s *spool) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run tells what is put until the spool is closed.
func (s *spool) run() {
	defer close(s.ended)
	for {
		s.mu.Lock()
		if len(s.items) == 0 {
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return
			}
			<-s.wake
			continue
		}
		item := s.items[0]
		s.items[0] = nil
		s.items = s.items[1:]
		s.mu.Unlock()
		s.tell(item)
	}
}

// tell tells of one item, which nobody else changes any more.
func (s *spool) tell(item *spooled) {
	switch {
	case item.passed != nil:
		close(item.passed)
		return
	case !item.late:
		item.sink.Ready(int(item.size), s.dead)
	}
	if item.omitted > 0 {
		note := fmt.Sprintf("\n[%d bytes of output left out: they came faster than they were read]\n", item.omitted)
		item.ev, item.text = kernel.Event{Type: kernel.TypeStderr}, []byte(note)
	}
	if len(item.text) == 0 {
		item.sink.Event(item.ev)
	}
	emitText(item.text, func(text string) {
		ev := item.ev
		ev.Text = text
		item.sink.Event(ev)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size -= item.size
	if item.omitted > 0 {
		s.omissions--
	}
}
