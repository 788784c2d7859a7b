//go:build integration

package abusetest

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
)

// faultProxy stands between servers and an engine. It passes everything on, streams and half-closed connections too,
// but for the calls that it was told to refuse.
type faultProxy struct {
	host    string
	refused atomic.Int64 // calls

	mu     sync.Mutex
	refuse func(method, path string) string // words of an internal error; empty: the call passes
}

// startFaultProxy puts a proxy before an engine. From now to the end of the test, servers find it instead of the engine.
func startFaultProxy(t *testing.T) *faultProxy {
	t.Helper()
	engine, ok := strings.CutPrefix(endpoint(t).Host, "unix://")
	require.True(t, ok, "the proxy speaks to a unix socket")
	dir, err := os.MkdirTemp("", "cubby-proxy-") // a test's own directory is too long for the name of a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "engine.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	p := &faultProxy{host: "unix://" + socket}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", engine)
	}}
	upstream := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		Transport:     transport,
		FlushInterval: -1, // events come when they happen
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if words := p.verdict(r); words != "" {
			p.refused.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(asJSON(map[string]string{"message": words})))
			return
		}
		upstream.ServeHTTP(w, r)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		serving.Wait()
		transport.CloseIdleConnections()
	})
	t.Setenv("DOCKER_HOST", p.host)
	return p
}

func (p *faultProxy) verdict(r *http.Request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse == nil {
		return ""
	}
	return p.refuse(r.Method, r.URL.Path)
}

// refusing says what is refused from now on; nil refuses nothing.
func (p *faultProxy) refusing(refuse func(method, path string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// TestF33Unkillable: the engine cannot kill a container for a while. The removal goes on, whether its client waits or
// not, while everything else works, and the place stays taken until it is done.
func TestF33Unkillable(t *testing.T) {
	p := startFaultProxy(t)
	a := newArena(t, startServer(t, "--max-contexts", "2"))
	p.refusing(func(method, path string) string {
		if method == http.MethodDelete && strings.Contains(path, a.box.id) || strings.HasSuffix(path, a.box.id+"/kill") {
			return "could not kill: tried to kill container, but did not receive an exit event"
		}
		return ""
	})
	stop := a.watch(t)
	defer stop()
	leaving, leave := context.WithTimeout(t.Context(), time.Second)
	defer leave()
	err := a.client.Remove(leaving, a.attacked)
	require.ErrorIs(t, err, context.DeadlineExceeded, "the removal is told when it is done")

	list, err := a.client.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = a.client.Create(t.Context(), wire.CreateContext{})
	require.ErrorIs(t, err, client.ErrCapacity, "its place is taken")
	refused := p.refused.Load()
	require.Positive(t, refused)
	require.Eventually(t, func() bool { return p.refused.Load() > refused+2 }, patience, probeEvery, "it is tried again")
	require.False(t, a.box.isGone(t.Context()))

	p.refusing(nil)
	require.Eventually(t, func() bool { return a.box.isGone(t.Context()) }, patience, probeEvery)
	a.attacked = a.createOnce(t, client.ErrCapacity) // its place is free
	require.Equal(t, "2", a.run(t, a.attacked, "1 + 1").text)
}
