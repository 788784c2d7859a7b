package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func (s *Server) execute(w http.ResponseWriter, r *http.Request) error {
	req, stay, err := s.readExecute(w, r)
	if err != nil {
		return err
	}
	e, err := s.Contexts.Execute(r.Context(), req)
	switch {
	case errors.Is(err, orchestrator.ErrNotFound):
		return contextNotFound(req.Context)
	case errors.Is(err, orchestrator.ErrUnknownLanguage), errors.Is(err, orchestrator.ErrImageMissing):
		return &action{"Failed to create context", err}
	case err != nil:
		return err
	}
	if err = s.stream(w, r, e); err != nil {
		s.readOn(e, stay)
	}
	return err
}

// readExecute reads the body of an execute. stay says that the execution goes on when its client leaves.
func (s *Server) readExecute(w http.ResponseWriter, r *http.Request) (req orchestrator.ExecuteRequest, stay bool, err error) {
	leave, err := s.bodies.enter(r)
	if err != nil {
		return req, false, err
	}
	defer leave()
	body, err := readObject(w, r)
	if err != nil {
		return req, false, err
	}
	req = orchestrator.ExecuteRequest{
		Context: body.optionalText("context_id"), Language: body.optionalText("language"),
		Code: body.text("code"), Env: body.texts("env_vars"), Timeout: body.timeout("timeout_ms"),
	}
	switch body.optionalText("on_disconnect") {
	case "", wire.OnDisconnectInterrupt:
	case wire.OnDisconnectContinue:
		stay = true
	default:
		body.detail = append(body.detail, fault(body.members["on_disconnect"], "literal_error",
			"Input should be 'interrupt' or 'continue'", "on_disconnect"))
	}
	switch {
	case body.err() != nil:
		return req, false, body.err()
	case req.Context != "" && req.Language != "":
		return req, false, &refusal{http.StatusBadRequest, "Only one of context_id or language can be provided"}
	case req.Context != "" && !idShape.MatchString(req.Context):
		return req, false, contextNotFound(req.Context)
	case len(req.Code) > orchestrator.MaxCode:
		return req, false, tooLarge()
	}
	return req, stay, nil
}

// readOn takes the place of a client that has left, to the end of its execution, which is interrupted unless it is to
// stay. An execution that the server's own end has cut off is the next server's.
func (s *Server) readOn(e *orchestrator.Execution, stay bool) {
	if s.running.Err() != nil {
		return
	}
	if !stay {
		e.Interrupt()
	}
	e.Discard(s.running)
}

// stream sends an execution's events as lines until its end. The error says that the client does not get them all.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, e *orchestrator.Execution) error {
	w.Header()["Content-Type"] = nil // E2B sends none
	w.Header().Set(wire.HeaderExecutionID, e.ID)
	w.WriteHeader(http.StatusOK)
	out := newLineWriter(w)
	nothing, cancel := context.WithCancel(r.Context())
	cancel() // so Next returns what is there and waits for nothing
	t := translation{generation: e.Generation}
	for {
		ev, err := e.Next(nothing)
		if errors.Is(err, context.Canceled) {
			ev, err = s.await(r.Context(), e, out, t.started)
		}
		switch {
		case errors.Is(err, io.EOF):
			return out.flush()
		case err != nil:
			return err
		}
		for _, line := range t.lines(ev) {
			if err := out.write(line); err != nil {
				return err
			}
		}
	}
}

// await flushes what has been written, at the least the headers, and waits for the next event, with keepalive lines while code runs.
func (s *Server) await(ctx context.Context, e *orchestrator.Execution, out *lineWriter, running bool) (kernel.Event, error) {
	for {
		if err := out.flush(); err != nil {
			return kernel.Event{}, err
		}
		wait, cancel := ctx, context.CancelFunc(func() {})
		if running {
			wait, cancel = context.WithTimeout(ctx, s.Keepalive)
		}
		ev, err := e.Next(wait)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			if ctx.Err() != nil && err != nil && !errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: %w", errClientGone, err)
			}
			return ev, err
		}
		if err := out.write(wire.Keepalive{Type: wire.TypeKeepalive}); err != nil {
			return kernel.Event{}, err
		}
	}
}
