//go:build integration

package abusetest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// failingRegistries builds images on a base that no registry delivers. Each build ends by itself, says why in words, and
// keeps credentials to itself; the contexts that run do not notice.
func failingRegistries(t *testing.T, e *privateEngine) {
	const secret = "hunter2-hunter2"
	s := startServer(t)
	id := s.create(t)
	require.Equal(t, "ok", s.run(t, id, "x = 41").ending)
	var asked atomic.Int64
	address := e.registry(t, &asked)
	config := t.TempDir()
	login := fmt.Sprintf(`{"auths":{%q:{"auth":"dXNlcjo%s"}}}`, address, secret)
	require.NoError(t, os.WriteFile(filepath.Join(config, "config.json"), []byte(login), 0o600))
	for _, row := range []struct{ name, base, says string }{
		{"silent", address + "/silent/base:1", "no answer from the registry"},
		{"unauthorized", address + "/closed/base:1", "unauthorized"},
		{"too many requests", address + "/busy/base:1", "toomanyrequests"},
		{"nothing there", address + "/none/base:1", "manifest unknown"},
		{"no such host", "registry.invalid/base:1", "registry.invalid"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := asked.Load()
			build := exec.CommandContext(t.Context(), program, "images", "build", "--force", "--base", row.base, "python")
			build.Env = append(foreignEnvironment(), "DOCKER_CONFIG="+config, "HTTPS_PROXY=http://user:"+secret+"@127.0.0.1:9")
			said, err := build.CombinedOutput()
			require.Error(t, err)
			t.Logf("%s", said)
			last := string(said[strings.LastIndex(strings.TrimSpace(string(said)), "\n")+1:])
			require.Contains(t, last, row.base)
			require.Contains(t, strings.ToLower(last), row.says)
			require.NotContains(t, string(said), secret)
			require.Equal(t, row.name != "no such host", asked.Load() > before, "the registry was asked")
		})
	}
	require.Equal(t, "42", s.run(t, id, "x + 1").text)
}

// registry starts a registry that the engine reaches at the address, where each image fails in its own way.
func (e *privateEngine) registry(t *testing.T, asked *atomic.Int64) (address string) {
	t.Helper()
	answer := func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, strings.ToLower(strings.ReplaceAll(code, "_", " ")))
	}
	server := &httptest.Server{Listener: e.listen(t), Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // its only client is the engine
		asked.Add(1)
		switch {
		case strings.Contains(r.URL.Path, "/silent/"):
			<-r.Context().Done()
		case strings.Contains(r.URL.Path, "/closed/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="ours"`)
			answer(w, http.StatusUnauthorized, "UNAUTHORIZED")
		case strings.Contains(r.URL.Path, "/busy/"):
			answer(w, http.StatusTooManyRequests, "TOOMANYREQUESTS")
		case r.URL.Path != "/v2/":
			answer(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		}
	})}}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.Listener.Addr().String()
}

// listen listens on the loopback of the engine's network namespace.
func (e *privateEngine) listen(t *testing.T) net.Listener {
	t.Helper()
	type listening struct {
		net.Listener
		err error
	}
	got := make(chan listening, 1)
	path := procFile(e.holder(t), "ns/net")
	go func() {
		runtime.LockOSThread() // and never unlocks it: the thread stays in that namespace, and ends with the goroutine
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err != nil {
			got <- listening{err: err}
			return
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		got <- listening{listener, err}
	}()
	l := <-got
	require.NoError(t, l.err)
	return l.Listener
}
