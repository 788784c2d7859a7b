package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cubby/api/wire"
)

// The kinds of error, as errors.Is finds them.
var (
	ErrUnreachable  = errors.New("server cannot be reached")
	ErrInvalid      = errors.New("invalid request")
	ErrUnauthorized = errors.New("key missing or wrong")
	ErrForbidden    = errors.New("forbidden")
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict")
	ErrTooLarge     = errors.New("too large")
	ErrCapacity     = errors.New("capacity reached")      // the same request may succeed later
	ErrUnavailable  = errors.New("server unavailable")    // it has no engine, lacks an image, or is stopping
	ErrServer       = errors.New("fault of the server")   // its log tells more under the request's id
	ErrUnexpected   = errors.New("unexpected answer")     // not one of a cubby server
	ErrCut          = errors.New("stream ended too soon") // before the execution did, as far as can be told
	ErrReplaced     = errors.New("another reader has taken over the execution, which goes on")
)

// Error is an error that a server answered.
type Error struct {
	Status    int // of HTTP
	Message   string
	RequestID string // under which the server's log tells more
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return e.Message + "; set CUBBY_API_KEY"
	case errors.Is(e, ErrServer), errors.Is(e, ErrUnexpected):
		return fmt.Sprintf("server answered %d: %s (request %s)", e.Status, e.Message, e.RequestID)
	}
	return e.Message
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.kind() }

func (e *Error) kind() error {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusTooManyRequests:
		return ErrCapacity
	case http.StatusServiceUnavailable:
		return ErrUnavailable
	case http.StatusInternalServerError:
		return ErrServer
	}
	return ErrUnexpected
}

// readError reads an error in whichever of the three shapes it comes.
func readError(res *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what has come is what there is to tell
	e := &Error{Status: res.StatusCode, RequestID: res.Header.Get(wire.HeaderRequestID)}
	var body wire.Error
	var invalid wire.ValidationError
	switch {
	case json.Unmarshal(raw, &body) == nil && body.Message != "":
		e.Message = body.Message
	case json.Unmarshal(raw, &invalid) == nil && len(invalid.Detail) > 0:
		faults := make([]string, 0, len(invalid.Detail))
		for _, d := range invalid.Detail {
			faults = append(faults, fmt.Sprintf("%v: %s", d.Loc, d.Msg))
		}
		e.Message = strings.Join(faults, "; ")
	case len(raw) > 0:
		e.Message = strings.TrimSpace(string(raw))
	default:
		e.Message = http.StatusText(res.StatusCode)
	}
	return e
}
