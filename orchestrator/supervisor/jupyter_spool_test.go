package supervisor

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// slowSink is a recorder with room for nothing until it is opened.
type slowSink struct {
	recorder
	opened chan struct{}
}

func (s *slowSink) Ready(_ int, stop <-chan struct{}) {
	select {
	case <-s.opened:
	case <-stop:
	}
}

// spooling returns a spool that runs.
func spooling(t *testing.T) (s *spool, die func()) {
	t.Helper()
	dead := make(chan struct{})
	die = sync.OnceFunc(func() { close(dead) })
	s = newSpool(dead, 4*(kernel.MaxText+entryOverhead))
	go s.run()
	t.Cleanup(func() { die(); s.close() })
	return s, die
}

func TestSpool(t *testing.T) {
	out := func(text string) kernel.Event { return kernel.Event{Type: kernel.TypeStdout, Text: text} }
	t.Run("tells in order, and small texts together", func(t *testing.T) {
		s, _ := spooling(t)
		sink := &slowSink{opened: make(chan struct{})}
		s.put(sink, kernel.Event{Type: kernel.TypeResult}, false)
		for range 1000 {
			s.put(sink, out("x"), false)
		}
		s.put(sink, kernel.Event{Type: kernel.TypeError, Name: "E"}, false)
		s.put(sink, out("y"), false)
		close(sink.opened)
		s.flush()
		require.Equal(t, []kernel.EventType{kernel.TypeResult, kernel.TypeStdout, kernel.TypeError, kernel.TypeStdout}, sink.kinds())
		require.Equal(t, strings.Repeat("x", 1000)+"y", sink.text(kernel.TypeStdout))
	})
	t.Run("long text comes in pieces", func(t *testing.T) {
		s, _ := spooling(t)
		var sink recorder
		s.put(&sink, out(strings.Repeat("é", kernel.MaxText)), false)
		s.flush()
		require.Len(t, sink.kinds(), 2)
		require.Equal(t, strings.Repeat("é", kernel.MaxText), sink.text(kernel.TypeStdout))
	})
	t.Run("what does not fit is left out, and said", func(t *testing.T) {
		s, _ := spooling(t)
		sink := &slowSink{opened: make(chan struct{})}
		chunk := strings.Repeat("x", kernel.MaxText)
		for range 6 {
			s.put(sink, out(chunk), false)
		}
		s.put(sink, kernel.Event{Type: kernel.TypeError, Name: "E"}, false)
		close(sink.opened)
		s.flush()
		require.Len(t, sink.text(kernel.TypeStdout), 4*kernel.MaxText)
		require.Contains(t, sink.text(kernel.TypeStderr), "[131072 bytes of output left out")
		require.Equal(t, kernel.TypeError, sink.events[len(sink.events)-1].Type)
		s.put(sink, out(chunk), false)
		s.flush()
		require.Len(t, sink.text(kernel.TypeStdout), 5*kernel.MaxText, "there is room again")
	})
	t.Run("late output waits for nobody", func(t *testing.T) {
		s, _ := spooling(t)
		sink := &slowSink{opened: make(chan struct{})}
		s.put(sink, out("late"), true)
		s.flush()
		require.Equal(t, "late", sink.text(kernel.TypeStdout))
	})
	t.Run("death of the kernel frees what waits, and all is told", func(t *testing.T) {
		s, die := spooling(t)
		sink := &slowSink{opened: make(chan struct{})}
		s.put(sink, out("x"), false)
		die()
		s.close()
		require.Equal(t, "x", sink.text(kernel.TypeStdout))
		s.put(sink, out("y"), false)
		require.Equal(t, "xy", sink.text(kernel.TypeStdout))
		s.flush()
	})
}
