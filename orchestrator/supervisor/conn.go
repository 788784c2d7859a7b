package supervisor

import (
	"context"
	"io"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
)

// batchSize is how many bytes of frames are gathered into one write.
const batchSize = 64 << 10

// conn is one connection of an orchestrator. The supervisor's mutex guards its cursors and replies.
type conn struct {
	s      *Supervisor
	stream io.ReadWriteCloser
	wake   chan struct{} // there may be something to send; capacity 1
	once   sync.Once
	closed chan struct{}

	replies [][]byte           // frames that answer requests: sent first
	cursors map[string]*cursor // of the executions that the orchestrator has asked for
	ready   map[string]*cursor // those of them that may have something to send
	exited  *kernel.Event      // sent when nothing else is left to send
}

// cursor is how far a connection has come with one execution.
type cursor struct {
	at       position
	inFlight []sent
	bytes    int           // of inFlight
	stalled  time.Time     // since when the reader has too much before it; zero: it has not
	room     chan struct{} // closed and replaced by an ack
}

// sent is a frame that the reader has not acknowledged.
type sent struct {
	seq   uint64
	bytes int
}

// newConn returns a connection on a stream.
func newConn(s *Supervisor, stream io.ReadWriteCloser) *conn {
	return &conn{
		s: s, stream: stream, wake: make(chan struct{}, 1), closed: make(chan struct{}),
		cursors: map[string]*cursor{}, ready: map[string]*cursor{},
	}
}

// close ends the connection.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.closed)
		_ = c.stream.Close()
	})
}

// receive handles requests until the stream ends.
func (c *conn) receive(ctx context.Context) {
	frames := kernel.NewReader(c.stream)
	for {
		var req kernel.Request
		if err := frames.Read(&req); err != nil {
			return
		}
		c.s.handle(ctx, c, req)
	}
}

// send writes the hello, and then what there is to send, until the connection is closed.
func (c *conn) send(hello kernel.Event) {
	defer c.close()
	batch := hello.Encode()
	for {
		if len(batch) == 0 {
			select {
			case <-c.wake:
			case <-c.closed:
				return
			}
		} else if _, err := c.stream.Write(batch); err != nil {
			return
		}
		batch = c.gather(batch[:0])
	}
}

// gather appends the next frames to send. Replies come first, then events in their order, an exit last.
func (c *conn) gather(batch []byte) []byte {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if cap(batch) > 4*batchSize { // do not keep a buffer that one large result has blown up
		batch = nil
	}
	for _, frame := range c.replies {
		batch = append(batch, frame...)
	}
	c.replies = nil
	for len(batch) < batchSize {
		frame := c.next()
		if frame == nil {
			break
		}
		batch = append(batch, frame...)
	}
	if len(c.ready) == 0 && c.exited != nil {
		exited := *c.exited
		exited.Executions = c.s.journal.status()
		batch = append(batch, exited.Encode()...)
		c.exited = nil
	}
	return batch
}

// next returns the oldest event that may be sent, or nil. The caller holds the supervisor's mu.
func (c *conn) next() []byte {
	var oldest *cursor
	var first entry
	for id, cur := range c.ready {
		e, ok := c.s.journal.next(id, cur.at)
		if !ok || (cur.bytes >= kernel.Window && !e.kept) {
			delete(c.ready, id)
			continue
		}
		if oldest == nil || e.after.seq < first.after.seq {
			oldest, first = cur, e
		}
	}
	if oldest == nil {
		return nil
	}
	oldest.at = first.after
	if !first.kept {
		oldest.inFlight = append(oldest.inFlight, sent{seq: first.after.seq, bytes: len(first.frame)})
		oldest.bytes += len(first.frame)
	}
	return first.frame
}

// behind reports whether an execution has events that this connection asked for and has not sent. The caller holds the
// supervisor's mu.
func (c *conn) behind(r *record) bool {
	cur := c.cursors[r.id]
	return cur != nil && cur.at.seq < r.newest
}

// resume says that a reader takes over, and begins to send what it asks for. What the reader before it was sent is on its
// way by now, and the reply goes before all events to come. The caller holds the supervisor's mu.
func (c *conn) resume(req kernel.Request) {
	c.subscribe(req.ID, req.After)
	c.reply(kernel.Event{ID: req.ID, Type: kernel.TypeResumed, Reader: req.Reader, Seq: c.s.journal.newest(req.ID)})
}

// take begins to send what an execute asks for, and says so to a reader who wants to know. The caller holds the
// supervisor's mu.
func (c *conn) take(req kernel.Request) {
	if req.Reader != 0 {
		c.resume(req)
		return
	}
	c.subscribe(req.ID, req.After)
}

// ended tells that an execution is over, where its done has to wait for a slow reader. The caller holds the supervisor's mu.
func (c *conn) ended(id string) {
	cur := c.cursors[id]
	if cur == nil || int64(cur.bytes)+c.s.journal.unread(id, cur.at) <= kernel.Window {
		return
	}
	c.reply(kernel.Event{ID: id, Type: kernel.TypeEnded, Executions: []kernel.ExecutionStatus{c.s.journal.records[id].status()}})
}

// subscribe begins to send an execution's events after a sequence number. The caller holds the supervisor's mu.
func (c *conn) subscribe(id string, after uint64) {
	next := &cursor{at: c.s.journal.seek(id, after), room: make(chan struct{})}
	if cur := c.cursors[id]; cur != nil {
		close(cur.room)
		next.stalled = cur.stalled // else readers that take over and read nothing would slow the kernel for ever
	}
	c.cursors[id] = next
	c.notice(id)
}

// forget drops the cursors of executions that the journal has forgotten. The caller holds the supervisor's mu.
func (c *conn) forget() {
	for id := range c.cursors {
		if !c.s.journal.knows(id) {
			delete(c.cursors, id)
			delete(c.ready, id)
		}
	}
}

// notice has the sender look at an execution. The caller holds the supervisor's mu.
func (c *conn) notice(id string) {
	if cur := c.cursors[id]; cur != nil {
		c.ready[id] = cur
		c.poke()
	}
}

// reply sends a frame that answers a request. The caller holds the supervisor's mu.
func (c *conn) reply(ev kernel.Event) {
	c.replies = append(c.replies, ev.Encode())
	c.poke()
}

// poke wakes the sender.
func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// acknowledge notes what the reader has taken. The caller holds the supervisor's mu.
func (c *conn) acknowledge(id string, seq uint64) {
	cur := c.cursors[id]
	if cur == nil {
		return
	}
	n := 0
	for n < len(cur.inFlight) && cur.inFlight[n].seq <= seq {
		cur.bytes -= cur.inFlight[n].bytes
		n++
	}
	if n == 0 {
		return
	}
	if cur.inFlight = cur.inFlight[n:]; len(cur.inFlight) == 0 {
		cur.inFlight = nil // the array behind it is as long as the window was full
	}
	cur.stalled = time.Time{}
	close(cur.room)
	cur.room = make(chan struct{})
	c.notice(id)
}

// crowded reports whether size more bytes exceed the window of an execution's reader, and then what tells that there
// may be room, and for how long that is worth waiting for. A reader acknowledges in steps, so something large need not
// find the whole window empty. The caller holds the supervisor's mu.
func (c *conn) crowded(id string, size int) (room <-chan struct{}, patience time.Duration, ok bool) {
	cur := c.cursors[id]
	if cur == nil || int64(cur.bytes)+c.s.journal.unread(id, cur.at) <= int64(max(kernel.Window-size, kernel.Window/8)) {
		return nil, 0, false
	}
	if cur.stalled.IsZero() {
		cur.stalled = time.Now()
	}
	patience = kernel.AckPatience - time.Since(cur.stalled)
	return cur.room, patience, patience > 0
}
