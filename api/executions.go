package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"cubby/api/wire"
	"cubby/orchestrator"
)

// start begins an execution that no client's leaving ends. The server takes its output until somebody follows it.
func (s *Server) start(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	req, err := s.readStart(w, r)
	if err != nil {
		return err
	}
	req.Context = id
	e, err := s.Contexts.Execute(r.Context(), req)
	if err != nil {
		return err
	}
	s.readOn(e, true)
	w.Header().Set("Location", wire.RouteExecution.For(e.Context, e.ID))
	w.Header().Set(wire.HeaderExecutionID, e.ID)
	return writeJSON(w, http.StatusCreated, wire.Execution{
		ID: e.ID, ContextID: e.Context, Generation: e.Generation, State: wire.ExecutionQueued,
	})
}

// readStart reads the body of a start. It is ours, so a member that we do not know is a fault.
func (s *Server) readStart(w http.ResponseWriter, r *http.Request) (req orchestrator.ExecuteRequest, err error) {
	body, leave, err := s.readBody(w, r)
	if err != nil {
		return req, err
	}
	defer leave()
	req = orchestrator.ExecuteRequest{
		Code: body.text("code"), Env: body.texts("env_vars"), Timeout: body.timeout("timeout_ms"),
		MaxOutput: body.count("max_output_bytes", math.MaxInt64),
	}
	body.only("code", "env_vars", "timeout_ms", "max_output_bytes")
	switch {
	case body.err() != nil:
		return req, body.err()
	case len(req.Code) > orchestrator.MaxCode:
		return req, tooLarge()
	}
	return req, nil
}

// execution tells where an execution stands.
func (s *Server) execution(w http.ResponseWriter, r *http.Request) error {
	id, execution, err := pathIDs(r)
	if err != nil {
		return err
	}
	status, err := s.Contexts.Execution(r.Context(), id, execution)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, statusOf(status))
}

func statusOf(status orchestrator.ExecutionStatus) wire.Execution {
	e := wire.Execution{
		ID: status.ID, ContextID: status.Context, Generation: status.Generation, State: wire.ExecutionState(status.State), Seq: status.Seq,
	}
	if status.Done != nil {
		outcome := OutcomeOf(*status.Done)
		e.Done = &outcome
	}
	return e
}

// events sends an execution's events and follows it to its end. Who leaves, or reads too slowly, interrupts nothing, and
// can come back.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet { // a HEAD must not take the execution from its reader
		return methodNotAllowed([]string{http.MethodGet})(w, r)
	}
	id, execution, err := pathIDs(r)
	if err != nil {
		return err
	}
	after, before, err := s.after(r, id, execution)
	if err != nil {
		return err
	}
	e, err := s.Contexts.Follow(r.Context(), id, execution, after)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.running, cancel)() //nolint:contextcheck // the next server goes on where this one ends
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(wire.HeaderExecutionID, e.ID)
	err = s.relay(ctx, w, e, &frames{generation: e.Generation, before: before})
	if err != nil {
		s.readOn(e, true)
	}
	return err
}

// after returns the number of the last event that the client has seen, and the done if that is among those.
func (s *Server) after(r *http.Request, id, execution string) (after uint64, before *orchestrator.Event, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	values := query[wire.ParamAfter]
	switch {
	case err != nil, len(query) > 1, len(query) == 1 && len(values) != 1:
		return 0, nil, &refusal{http.StatusBadRequest, "after: the query takes one after=NUMBER and nothing else"}
	case len(values) == 0:
		return 0, nil, nil
	}
	after, err = strconv.ParseUint(values[0], 10, 64)
	if err != nil {
		return 0, nil, &refusal{http.StatusBadRequest, "after is not the number of an event"}
	}
	status, err := s.Contexts.Execution(r.Context(), id, execution)
	switch {
	case err != nil:
		return 0, nil, err
	case status.Done == nil && after > status.Seq:
		return 0, nil, &refusal{http.StatusBadRequest, fmt.Sprintf("after: execution %s has had no event %d; its newest is %d", execution, after, status.Seq)}
	case status.Done != nil && after >= status.Done.Seq:
		before = status.Done
	}
	return after, before, nil
}

func (s *Server) interruptExecution(w http.ResponseWriter, r *http.Request) error {
	id, execution, err := pathIDs(r)
	if err != nil {
		return err
	}
	if err := s.Contexts.InterruptExecution(r.Context(), id, execution); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, nil)
}

// pathIDs returns the ids in the path of an execution. One that cannot exist is answered like one that does not.
func pathIDs(r *http.Request) (id, execution string, err error) {
	if id, err = pathID(r); err != nil {
		return "", "", err
	}
	execution = r.PathValue("execution")
	if !idShape.MatchString(execution) {
		return "", "", &refusal{http.StatusNotFound, fmt.Sprintf("execution %.64q not found", execution)}
	}
	return id, execution, nil
}
