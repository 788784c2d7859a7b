package api

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"cubby/api/wire"
	"cubby/orchestrator"
)

// statusClientGone stands in the access log for a request whose client left before it was answered.
const statusClientGone = 499

// errClientGone says that the client does not take the answer.
var errClientGone = errors.New("client has left")

// refusal is an answer that the API itself decides on.
type refusal struct {
	status  int
	message string
}

// Error implements error.
func (e *refusal) Error() string { return e.message }

// bodyError is a request's body that is not what the route takes: a 422.
type bodyError struct{ detail []wire.Detail }

// Error implements error.
func (e *bodyError) Error() string { return "invalid request body" }

// action puts E2B's words for what was attempted before an error.
type action struct {
	words string
	err   error
}

// Error implements error.
func (e *action) Error() string { return e.words + ": " + e.err.Error() }

// Unwrap is for errors.Is.
func (e *action) Unwrap() error { return e.err }

// attempted says of a failure what was attempted on which context. An unknown context gets E2B's words.
func attempted(words, id string, err error) error {
	if errors.Is(err, orchestrator.ErrNotFound) {
		return contextNotFound(id)
	}
	return &action{words, err}
}

func contextNotFound(id string) error {
	if !idShape.MatchString(id) {
		id = fmt.Sprintf("%.64q", id)
	}
	return &refusal{http.StatusNotFound, fmt.Sprintf("Context %s not found", id)}
}

// engineRemedy stands in for an engine's own words, which can hold paths of the host.
const engineRemedy = "the container engine does not answer; try again, or run `cubby doctor` on the server"

// exhaustedRemedy stands in for words that can hold paths of the host, too.
const exhaustedRemedy = "the server's host is out of disk space or another resource; remove contexts, or see the server's log"

// kinds are the statuses of the orchestrator's errors and of the server's end.
var kinds = []struct {
	kind       error
	status     int
	message    string // instead of the error's own words
	retryAfter string // seconds
}{
	{orchestrator.ErrNotFound, http.StatusNotFound, "", ""},
	{orchestrator.ErrInvalid, http.StatusBadRequest, "", ""},
	{orchestrator.ErrUnknownLanguage, http.StatusBadRequest, "", ""},
	{orchestrator.ErrTooLarge, http.StatusRequestEntityTooLarge, "", ""},
	{orchestrator.ErrConflict, http.StatusConflict, "", ""},
	{orchestrator.ErrCapacity, http.StatusTooManyRequests, "", "5"},
	{orchestrator.ErrExhausted, http.StatusServiceUnavailable, exhaustedRemedy, "10"},
	{syscall.ENOSPC, http.StatusServiceUnavailable, exhaustedRemedy, "10"}, // the server's own state
	{orchestrator.ErrImageMissing, http.StatusServiceUnavailable, "", ""},
	{orchestrator.ErrNoBoot, http.StatusServiceUnavailable, "", ""},
	{orchestrator.ErrEngine, http.StatusServiceUnavailable, engineRemedy, "10"},
	{errDraining, http.StatusServiceUnavailable, "", "5"},
}

// verdict is what a client is told of an error.
type verdict struct {
	status     int
	message    string
	retryAfter string
	internal   bool // the error's own words are for the log only
}

// verdictOn turns an error into what a client is told. Words of an error that has no kind never leave the server.
func verdictOn(err error) verdict {
	var refused *refusal
	if errors.As(err, &refused) {
		return verdict{status: refused.status, message: refused.message}
	}
	var attempt *action
	before := ""
	if errors.As(err, &attempt) {
		before = attempt.words + ": "
	}
	for _, k := range kinds {
		switch {
		case !errors.Is(err, k.kind):
		case k.message == "":
			return verdict{status: k.status, message: err.Error(), retryAfter: k.retryAfter}
		default:
			return verdict{status: k.status, message: before + k.message, retryAfter: k.retryAfter, internal: true}
		}
	}
	return verdict{status: http.StatusInternalServerError, message: before + "internal error", internal: true}
}

// fail answers an error.
func (s *Server) fail(w *response, r *http.Request, plain bool, err error) {
	if errors.Is(err, errClientGone) || r.Context().Err() != nil {
		if w.status == 0 {
			w.status = statusClientGone
		}
		panic(http.ErrAbortHandler) //nolint:forbidigo // how net/http is told to reset the connection
	}
	if w.status != 0 { // half an answer must not look like a whole one
		s.log.ErrorContext(r.Context(), "answer broken off", "request_id", w.requestID, "error", err)
		panic(http.ErrAbortHandler) //nolint:forbidigo // how net/http is told to reset the connection
	}
	var invalid *bodyError
	if errors.As(err, &invalid) {
		err = writeJSON(w, http.StatusUnprocessableEntity, wire.ValidationError{Detail: invalid.detail})
	} else {
		err = s.tell(w, r, plain, err)
	}
	if err != nil && !errors.Is(err, errClientGone) {
		s.log.ErrorContext(r.Context(), "error not answered", "request_id", w.requestID, "error", err)
	}
}

// tell answers with the verdict on an error, and logs what the answer keeps to itself.
func (s *Server) tell(w *response, r *http.Request, plain bool, err error) error {
	v := verdictOn(err)
	if v.internal {
		s.log.ErrorContext(r.Context(), "request failed", "request_id", w.requestID, "error", err)
	}
	if v.retryAfter != "" {
		w.Header().Set("Retry-After", v.retryAfter)
	}
	switch v.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusRequestEntityTooLarge: // what is left of the body is not read
		w.Header().Set("Connection", "close")
	}
	if plain {
		return writeText(w, v)
	}
	return writeJSON(w, v.status, wire.Error{Code: v.status, Message: v.message, RequestID: w.requestID})
}

// writeText answers as E2B's own server does.
func writeText(w *response, v verdict) error {
	message := v.message
	if v.status == http.StatusInternalServerError {
		message += " (request " + w.requestID + ")"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(v.status)
	if _, err := w.Write([]byte(message)); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}
