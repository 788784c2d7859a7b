package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// lineWriter writes lines through a buffer.
type lineWriter struct {
	buffer  *bufio.Writer
	control *http.ResponseController
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	return &lineWriter{bufio.NewWriterSize(w, writeStep), http.NewResponseController(w)}
}

func (w *lineWriter) write(lines ...any) error {
	for _, line := range lines {
		text, err := wire.Marshal(line)
		if err != nil {
			return err
		}
		if _, err := w.buffer.Write(append(text, '\n')); err != nil {
			return fmt.Errorf("%w: %w", errClientGone, err)
		}
	}
	return nil
}

// flush sends what is buffered.
func (w *lineWriter) flush() error {
	err := w.buffer.Flush()
	if err == nil {
		err = w.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

// translator turns the events of one execution into lines of an answer.
type translator interface {
	// lines returns the lines of an event, none or more.
	lines(ev kernel.Event) []any
	// silent reports whether keepalive lines fill the silence that there is now.
	silent() bool
	// replaced returns the last line for a reader whose place another has taken.
	replaced() any
	// rest returns the lines after the last event, which is a done unless the reader has asked for what came later.
	rest() []any
}

// relay sends an execution's events as lines, to its end or until another reader takes over. The error says that the
// client does not get them all. The caller has set the headers.
func (s *Server) relay(ctx context.Context, w http.ResponseWriter, e *orchestrator.Execution, t translator) error {
	w.WriteHeader(http.StatusOK)
	out := newLineWriter(w)
	nothing, cancel := context.WithCancel(ctx)
	cancel() // so Next returns what is there and waits for nothing
	for {
		ev, err := e.Next(nothing)
		if errors.Is(err, context.Canceled) {
			ev, err = s.await(ctx, e, out, t.silent())
		}
		switch {
		case errors.Is(err, io.EOF):
			return errors.Join(out.write(t.rest()...), out.flush())
		case errors.Is(err, orchestrator.ErrReplaced):
			return errors.Join(out.write(t.replaced()), out.flush())
		case err != nil:
			return err
		}
		if err := out.write(t.lines(ev)...); err != nil {
			return err
		}
	}
}

// await flushes what has been written, at the least the headers, and waits for the next event, with keepalive lines
// where silence is filled.
func (s *Server) await(ctx context.Context, e *orchestrator.Execution, out *lineWriter, silent bool) (kernel.Event, error) {
	for {
		if err := out.flush(); err != nil {
			return kernel.Event{}, err
		}
		wait, cancel := ctx, context.CancelFunc(func() {})
		if silent {
			wait, cancel = context.WithTimeout(ctx, s.Keepalive)
		}
		ev, err := e.Next(wait)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%w: %w", errClientGone, err)
			}
			return ev, err
		}
		if err := out.write(wire.Keepalive{Type: wire.TypeKeepalive}); err != nil {
			return kernel.Event{}, err
		}
	}
}

// readOn takes the place of a reader that has left, until another comes or the execution ends. The execution is
// interrupted unless it is to stay. One that the server's own end has cut off is the next server's.
func (s *Server) readOn(e *orchestrator.Execution, stay bool) {
	if s.running.Err() != nil {
		return
	}
	if !stay {
		e.Interrupt()
	}
	s.onOwnTime(func() { e.Discard(s.running) })
}
