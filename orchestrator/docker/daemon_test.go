package docker

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"
)

// daemon pretends to be an engine, on a unix socket. A test says how it answers; what it was asked is recorded.
type daemon struct {
	t    *testing.T
	mux  *http.ServeMux
	host string

	mu    sync.Mutex
	calls []string // "POST /containers/create"
}

// newDaemon starts a daemon that speaks API 1.41, has the image of freshSpec and nothing else.
func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, mux: http.NewServeMux()}
	socket := shortDir(t) + "/engine.sock"
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(d.serve)}}
	server.Start()
	t.Cleanup(server.Close)
	d.host = "unix://" + socket
	d.on("GET /version", reply(http.StatusOK, `{"Version":"20.10.24","ApiVersion":"1.41","Arch":"amd64"}`))
	d.on("GET /images/{ref}/json", reply(http.StatusOK, `{"Id":"`+testDigest+`"}`))
	return d
}

func (d *daemon) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	if r.URL.Path == "/_ping" {
		return
	}
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/v1.41")
	d.mu.Lock()
	d.calls = append(d.calls, r.Method+" "+r.URL.Path)
	d.mu.Unlock()
	d.mux.ServeHTTP(w, r)
}

// on says how a call is answered.
func (d *daemon) on(pattern string, answer http.HandlerFunc) { d.mux.HandleFunc(pattern, answer) }

// count returns how often a call was made.
func (d *daemon) count(call string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, c := range d.calls {
		if c == call {
			n++
		}
	}
	return n
}

// engine connects to the daemon.
func (d *daemon) engine(change ...func(*Config)) *Engine {
	d.t.Helper()
	cfg := Config{Endpoint: Endpoint{Host: d.host}, Instance: testInstance}
	for _, c := range change {
		c(&cfg)
	}
	e, err := New(d.t.Context(), cfg)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { require.NoError(d.t, e.Close()) })
	return e
}

// reply answers with JSON.
func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// refuse answers with an error.
func refuse(status int, message string) http.HandlerFunc {
	body, _ := json.Marshal(map[string]string{"message": message})
	return reply(status, string(body))
}

// inTurn answers each call with the next answer, and goes on with the last.
func inTurn(answers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		mu.Unlock()
		answer(w, r)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// silence takes the call and never answers.
func silence(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has left
	<-r.Context().Done()
}

// inspected answers an inspection.
func inspected(id, instance string, state container.State) http.HandlerFunc {
	body, _ := json.Marshal(container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: id, Created: "2025-01-02T03:04:05.6789Z", State: &state},
		Config:            &container.Config{Labels: map[string]string{LabelInstance: instance}},
	})
	return reply(http.StatusOK, string(body))
}
