// Package api serves the orchestrator over HTTP: E2B's data plane, so that its SDKs work unmodified, and what E2B
// lacks. openapi.yaml describes it. Handlers return errors; errors.go alone turns them into answers.
package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"cubby/api/wire"
	"cubby/orchestrator"
)

// Contexts is what the API serves. Its methods are called concurrently, with the context of the request: it ends when
// the client leaves. Errors carry the kinds of package orchestrator; the words of an internal one stay in the log.
type Contexts interface {
	Create(ctx context.Context, req orchestrator.CreateRequest) (orchestrator.CodeContext, error)
	// List returns the contexts in the order of their creation.
	List(ctx context.Context) ([]orchestrator.CodeContext, error)
	Get(ctx context.Context, id string) (orchestrator.CodeContext, error)
	Restart(ctx context.Context, id string) (orchestrator.CodeContext, error)
	Remove(ctx context.Context, id string) error
	// Interrupt asks for the end of a context's running and queued executions and does not wait for it.
	Interrupt(ctx context.Context, id string) error
	// Execute returns when the execution is accepted, which then outlives ctx.
	Execute(ctx context.Context, req orchestrator.ExecuteRequest) (*orchestrator.Execution, error)
	// Execution tells where an execution stands.
	Execution(ctx context.Context, contextID, executionID string) (orchestrator.ExecutionStatus, error)
	// Follow returns an execution whose events begin behind number after. The caller becomes its one reader.
	Follow(ctx context.Context, contextID, executionID string, after uint64) (*orchestrator.Execution, error)
	// InterruptExecution asks for the end of one execution and does not wait for it.
	InterruptExecution(ctx context.Context, contextID, executionID string) error
}

// Defaults of a Config.
const (
	DefaultKeepalive    = 5 * time.Second
	DefaultWriteTimeout = 30 * time.Second
)

// Config is what a Server is made of. Contexts is required.
type Config struct {
	Contexts     Contexts
	Keys         [][sha256.Size]byte // SHA-256 digests of the keys; none: no key is asked for
	AllowedHosts []string            // names beyond loopback's under which clients address the server, without ports
	Version      string              // of the program
	Logger       *slog.Logger        // nil: slog.Default
	Keepalive    time.Duration       // silence of a running execution before a keepalive line; 0: DefaultKeepalive
	WriteTimeout time.Duration       // how long a client may take 64 KiB or less; 0: DefaultWriteTimeout
}

// Server is the API as an http.Handler. HTTPServer puts it behind a listener; Drain, the http.Server's own end and Close
// end it, in this order.
type Server struct {
	Config
	log      *slog.Logger
	mux      *http.ServeMux
	bodies   *bodies
	activity activity

	// running ends when the server itself goes down, which is not a client's leaving. stop ends it.
	running context.Context //nolint:containedctx // it is the server's own life, not a request's
	stop    context.CancelFunc
}

// endpoint is a route and what serves it.
type endpoint struct {
	route wire.Route
	serve func(w http.ResponseWriter, r *http.Request) error
	plain bool // errors are plain text, as E2B's clients expect
	begin bool // it makes or runs something, and is refused while the server drains
}

// New returns a Server. It starts nothing.
func New(cfg Config) *Server {
	s := &Server{Config: cfg, log: cfg.Logger, mux: http.NewServeMux(), bodies: newBodies()}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.Keepalive == 0 {
		s.Keepalive = DefaultKeepalive
	}
	if s.WriteTimeout == 0 {
		s.WriteTimeout = DefaultWriteTimeout
	}
	s.running, s.stop = context.WithCancel(context.Background()) //nolint:forbidigo // see the field; HTTPServer has stop called
	methods := map[string][]string{}
	for _, e := range s.endpoints() {
		s.mux.Handle(e.route.Pattern(), s.handler(e))
		methods[e.route.Path] = append(methods[e.route.Path], e.route.Method)
	}
	for path, allowed := range methods { // less specific than the routes, so it gets the other methods
		s.mux.Handle(path, s.handler(endpoint{serve: methodNotAllowed(allowed)}))
	}
	s.mux.Handle("/", s.handler(endpoint{serve: noSuchPage}))
	return s
}

func (s *Server) endpoints() []endpoint {
	return []endpoint{
		{route: wire.RouteHealth, serve: health},
		{route: wire.RouteOpenAPI, serve: openAPI},
		{route: wire.RouteExecute, serve: s.execute, plain: true, begin: true},
		{route: wire.RouteCreate, serve: s.create, plain: true, begin: true},
		{route: wire.RouteList, serve: s.list, plain: true},
		{route: wire.RouteGet, serve: s.get},
		{route: wire.RouteRemove, serve: s.remove, plain: true},
		{route: wire.RouteRestart, serve: s.restart, plain: true, begin: true},
		{route: wire.RouteInterrupt, serve: s.interrupt},
		{route: wire.RouteStart, serve: s.start, begin: true},
		{route: wire.RouteExecution, serve: s.execution},
		{route: wire.RouteEvents, serve: s.events},
		{route: wire.RouteInterruptExecution, serve: s.interruptExecution},
	}
}

// handler answers the errors of an endpoint.
func (s *Server) handler(e endpoint) http.Handler {
	serve := e.serve
	if e.begin {
		serve = s.counted(serve)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			s.fail(w.(*response), r, e.plain, err)
		}
	})
}

// counted counts what is served, for Drain.
func (s *Server) counted(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		end, err := s.activity.begin()
		if err != nil {
			return err
		}
		defer end()
		return serve(w, r)
	}
}

// HTTPServer returns an http.Server for this Server, with its limits on headers and slow clients. The caller sets Addr
// or calls Serve. Its Shutdown waits for running executions; those that a following Close cuts off run on, since the
// server's own end is not a client's leaving.
func (s *Server) HTTPServer() *http.Server {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // of a whole request; it does not bound the answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ConnContext:       boundSendBuffer,
	}
	server.RegisterOnShutdown(s.stop)
	return server
}

// sendBuffer is how much the kernel takes of an answer ahead of its client, about. Left alone, it takes megabytes, and
// then nothing until a third of them has gone: a client that reads steadily, but slower than that third in a second, would
// seem stuck to the supervisor, which does not let a stuck reader slow the code and drops output instead.
const sendBuffer = 256 << 10

// boundSendBuffer bounds the buffer of a connection that is new.
func boundSendBuffer(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a larger one works, too
	}
	return ctx
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &response{ResponseWriter: w, requestID: requestID(r), timeout: s.WriteTimeout, began: time.Now()}
	defer s.finish(answer, r)
	answer.Header().Set(wire.HeaderRequestID, answer.requestID)
	answer.Header().Set("Cache-Control", "no-store")
	answer.Header().Set("X-Content-Type-Options", "nosniff")
	if err := s.guard(r); err != nil {
		s.fail(answer, r, false, err)
		return
	}
	if s.Version != "" && r.URL.Path != wire.RouteHealth.Path {
		answer.Header().Set(wire.HeaderVersion, s.Version)
	}
	s.mux.ServeHTTP(answer, r)
}

func noSuchPage(_ http.ResponseWriter, r *http.Request) error {
	return &refusal{status: http.StatusNotFound, message: fmt.Sprintf("no such page: %.100q", r.URL.Path)}
}

func methodNotAllowed(methods []string) func(http.ResponseWriter, *http.Request) error {
	slices.Sort(methods)
	allowed := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allowed)
		return &refusal{status: http.StatusMethodNotAllowed, message: "method not allowed; this path takes " + allowed}
	}
}

// isClean reports whether a path is one that the mux would not redirect.
func isClean(p string) bool {
	return p == path.Clean(p) || p == path.Clean(p)+"/"
}
