package supervisor

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"cubby/orchestrator/kernel"
)

// The deadlines of a kernel that does not answer.
const (
	// BootTimeout is how long a kernel may take to boot.
	BootTimeout = time.Minute
	// AnswerTimeout is how long a kernel may take to answer a setup or a ping.
	AnswerTimeout = 10 * time.Second
	// StartPatience is how long a kernel may take to start an execution before the clock of its deadline runs without it.
	StartPatience = 2 * time.Second
	// killTimeout bounds the killing of all processes of the user.
	killTimeout = 10 * time.Second
)

// sampleEvery is how often the memory of the container is read while an execution runs.
const sampleEvery = 100 * time.Millisecond

// Config is what a Supervisor is made of.
type Config struct {
	Adapter   Adapter
	Language  string          // the normalised name that hello tells
	Meter     func() Sample   // reads what the container uses; nil: not known
	Pressure  func() Pressure // reads what fills its memory; nil: not known
	Workspace Workspace       // that disk limits are about; nil: none is held
}

// Supervisor serves one kernel to whoever is attached. Run boots the kernel and runs executions; Serve and ServeConn
// speak the protocol of package kernel. All methods may be called concurrently.
type Supervisor struct {
	adapter  Adapter
	language string
	meter    func() Sample
	pressure func() Pressure
	disk     *diskWatch // Run's alone
	boot     string
	booted   chan struct{} // closed when the kernel has booted, or died trying
	wake     chan struct{} // the queue has grown; capacity 1

	claiming sync.Mutex // held during a claim
	burying  sync.Mutex // held during a burial: who has the kernel killed for a reason tells that, not that it was killed

	mu       sync.Mutex // guards all below; never held across I/O
	version  string
	journal  *journal
	claim    *kernel.Request
	queue    []*execution
	queued   int        // bytes of code in the queue
	running  *execution // taken out of the queue and not done
	death    *kernel.Event
	stopped  bool
	conn     *conn
	attached chan struct{} // closed and replaced when conn changes
}

// New returns a Supervisor whose kernel has not booted yet.
func New(cfg Config) *Supervisor {
	meter, pressure := cfg.Meter, cfg.Pressure
	if meter == nil {
		meter = func() Sample { return Sample{} }
	}
	if pressure == nil {
		pressure = func() Pressure { return Pressure{} }
	}
	s := &Supervisor{
		adapter: cfg.Adapter, language: cfg.Language, meter: meter, pressure: pressure, disk: newDiskWatch(cfg.Workspace),
		boot: rand.Text(), booted: make(chan struct{}), wake: make(chan struct{}, 1),
		journal: newJournal(JournalSize), attached: make(chan struct{}),
	}
	s.journal.wanted = func(r *record) bool { return s.conn != nil && s.conn.behind(r) }
	return s
}

// Serve accepts connections until ctx ends or the listener fails, and waits for them to end. It closes the listener.
func (s *Supervisor) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		stream, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a bridge: %w", err)
		}
		conns.Go(func() { s.ServeConn(ctx, stream) })
	}
}

// ServeConn serves one connection until it ends, a newer one fences it off, or ctx ends. It closes the stream. Hello is
// sent once the kernel has booted, or has died trying.
func (s *Supervisor) ServeConn(ctx context.Context, stream io.ReadWriteCloser) {
	c := newConn(s, stream)
	defer c.close()
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	s.attach(c)
	defer s.detach(c)
	select {
	case <-s.booted:
	case <-c.closed:
		return
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer c.close()
	sending.Go(func() { c.send(s.hello(c)) })
	c.receive(ctx)
}

// WaitAbandoned returns nil when no connection has been there for the length of a lease, or ctx's error.
func (s *Supervisor) WaitAbandoned(ctx context.Context, lease time.Duration) error {
	for {
		s.mu.Lock()
		changed, vacant := s.attached, s.conn == nil
		s.mu.Unlock()
		expired := make(<-chan time.Time)
		if vacant {
			expired = time.After(lease)
		}
		select {
		case <-changed:
		case <-expired:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attach makes a connection the one that is served, and fences the one before it off.
func (s *Supervisor) attach(c *conn) {
	s.mu.Lock()
	fenced := s.conn
	s.setConn(c)
	s.mu.Unlock()
	if fenced != nil {
		fenced.close()
	}
}

// detach forgets a connection unless it was fenced off.
func (s *Supervisor) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.setConn(nil)
	}
}

// setConn replaces the connection. The caller holds mu.
func (s *Supervisor) setConn(c *conn) {
	s.conn = c
	close(s.attached)
	s.attached = make(chan struct{})
}

// hello returns the first frame of a connection.
func (s *Supervisor) hello(c *conn) kernel.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.exited = nil // hello tells of a death before it
	ev := kernel.Event{
		Type: kernel.TypeHello, Protocol: kernel.Protocol, Boot: s.boot, Language: s.language, Version: s.version,
		Executions: s.journal.status(),
	}
	if s.claim != nil {
		ev.Claimed, ev.Generation, ev.Meta = true, s.claim.Generation, s.claim.Meta
	}
	switch {
	case s.death != nil:
		ev.Exited = s.death.Value
	case s.stopped:
		ev.Exited = "stopped"
	}
	return ev
}

// record journals an event and lets the connection send it. The caller holds mu.
func (s *Supervisor) record(ev kernel.Event) {
	ev.Time = time.Now()
	s.journal.append(ev)
	if s.conn != nil {
		s.conn.notice(ev.ID)
	}
}

// dead reports whether the kernel runs nothing any more. The caller holds mu.
func (s *Supervisor) dead() bool { return s.death != nil || s.stopped }
