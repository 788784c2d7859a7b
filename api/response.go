package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"cubby/api/wire"
)

// writeStep is how much a client must take within the write timeout: a slow one is served, a stuck one is cut.
const writeStep = 64 << 10

// response is the ResponseWriter of one request. It gives every write a deadline, and remembers what the access log
// tells.
type response struct {
	http.ResponseWriter
	requestID string
	timeout   time.Duration
	began     time.Time
	status    int // 0 until the headers are out
	bytes     int
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	written := 0
	for written < len(p) {
		if err := w.extend(); err != nil {
			return written, err
		}
		n, err := w.ResponseWriter.Write(p[written:min(len(p), written+writeStep)])
		written += n
		w.bytes += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// FlushError sends what is buffered; http.ResponseController finds it.
func (w *response) FlushError() error {
	if err := w.extend(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extend moves the write deadline on.
func (w *response) extend() error {
	err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.timeout))
	if errors.Is(err, http.ErrNotSupported) { // a recorder in a test
		return nil
	}
	return err
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil { //nolint:gosec // JSON in ASCII, of which nosniff makes no page
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

var requestIDShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// requestID names a request: as the client does, where that is fit for a log, else at random.
func requestID(r *http.Request) string {
	if id := r.Header.Get(wire.HeaderRequestID); requestIDShape.MatchString(id) {
		return id
	}
	return rand.Text()
}

// finish ends a request: it catches a handler's panic, which concerns this request only, and writes the access log.
// Neither code nor keys ever get there.
func (s *Server) finish(w *response, r *http.Request) {
	caught := recover()
	if caught != nil && caught != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		s.log.ErrorContext(r.Context(), "handler panicked", "request_id", w.requestID, "panic", fmt.Sprint(caught), "stack", string(debug.Stack()))
		if w.status == 0 {
			_ = writeJSON(w, http.StatusInternalServerError, wire.Error{Code: http.StatusInternalServerError, Message: "internal error", RequestID: w.requestID})
			caught = nil
		}
	}
	level := slog.LevelInfo
	if r.URL.Path == wire.RouteHealth.Path {
		level = slog.LevelDebug
	}
	s.log.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", w.requestID), slog.String("remote", r.RemoteAddr), slog.String("method", r.Method),
		slog.String("path", fmt.Sprintf("%.200s", r.URL.Path)), slog.Int("status", w.status), slog.Int("bytes", w.bytes),
		slog.Duration("duration", time.Since(w.began)), slog.String("execution", w.Header().Get(wire.HeaderExecutionID)))
	if caught != nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // how net/http is told to reset the connection
	}
}
