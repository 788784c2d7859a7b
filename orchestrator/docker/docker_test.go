package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

var update = flag.Bool("update", false, "rewrite golden files")

const (
	testInstance = "test-instance"
	testDigest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// freshSpec is a spec that every engine takes. A case changes what goes wrong.
func freshSpec() orchestrator.ContainerSpec {
	return orchestrator.ContainerSpec{
		Name: "cubby-x7", Image: testDigest, UID: 1 << 30, Workspace: "cubby-ws-1", Network: orchestrator.NetworkNone,
	}
}

// requireGolden compares v's JSON with a file of testdata.
func requireGolden(t *testing.T, name string, v any) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(v))
	text := strings.ReplaceAll(got.String(), quoted(t, seccompProfile()), "<seccomp.json>")
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text, "run the test with -update and review the difference")
}

// quoted returns s as it stands inside a JSON string.
func quoted(t *testing.T, s string) string {
	t.Helper()
	data, err := json.Marshal(s)
	require.NoError(t, err)
	return strings.Trim(string(data), `"`)
}

func TestNew(t *testing.T) {
	connect := func(t *testing.T, host string) error {
		t.Helper()
		e, err := New(t.Context(), Config{Endpoint: Endpoint{Host: host}, Instance: testInstance})
		if err == nil {
			require.NoError(t, e.Close())
		}
		return err
	}
	serve := func(t *testing.T, version string, call http.HandlerFunc) string {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if version != "" {
				w.Header().Set("Api-Version", version)
			}
			if r.URL.Path != "/_ping" {
				call(w, r)
			}
		}))
		t.Cleanup(server.Close)
		return "tcp://" + server.Listener.Addr().String()
	}
	t.Run("an engine over TCP is taken", func(t *testing.T) {
		require.NoError(t, connect(t, serve(t, "1.47", reply(http.StatusOK, `{}`))))
	})
	t.Run("an engine that is too old is refused with both versions", func(t *testing.T) {
		err := connect(t, serve(t, "1.40", reply(http.StatusOK, `{}`)))
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, `"1.40"`)
		require.ErrorContains(t, err, "1.41")
	})
	t.Run("what is no engine is refused", func(t *testing.T) {
		require.ErrorIs(t, connect(t, serve(t, "", reply(http.StatusOK, `{}`))), orchestrator.ErrEngine)
	})
	t.Run("an engine that is too new is refused with both versions", func(t *testing.T) {
		err := connect(t, serve(t, "1.99", refuse(http.StatusBadRequest, "client version 1.51 is too old. Minimum supported API version is 1.60")))
		require.ErrorContains(t, err, "1.51")
		require.ErrorContains(t, err, "1.99")
	})
	t.Run("a missing socket says what to do", func(t *testing.T) {
		socket := "unix://" + shortDir(t) + "/none.sock"
		err := connect(t, socket)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.EqualError(t, err, "connect to the engine: container engine unavailable: "+socket+
			" does not exist: install Docker, or start it (sudo systemctl start docker, or Docker Desktop)", "once, in our words")
	})
	t.Run("a port that nobody listens on says what to do", func(t *testing.T) {
		err := connect(t, "tcp://127.0.0.1:1")
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "nothing listens on tcp://127.0.0.1:1: start the engine")
	})
	t.Run("a dead socket says what to do", func(t *testing.T) {
		dir := shortDir(t)
		leaveAt(t, dir+"/dead.sock")
		err := connect(t, "unix://"+dir+"/dead.sock")
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "nothing listens on")
	})
	t.Run("an engine that hangs ends with ctx", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := New(ctx, Config{Endpoint: Endpoint{Host: serve(t, "1.41", silence)}, Instance: testInstance})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("TLS files that are missing are named", func(t *testing.T) {
		_, err := New(t.Context(), Config{
			Endpoint: Endpoint{Host: "tcp://127.0.0.1:1", TLS: &TLS{CAFile: "/nowhere/ca.pem"}}, Instance: testInstance,
		})
		require.ErrorContains(t, err, "/nowhere/ca.pem")
	})
	t.Run("no instance is refused", func(t *testing.T) {
		_, err := New(t.Context(), Config{Endpoint: Endpoint{Host: "unix:///x"}})
		require.ErrorContains(t, err, "no instance")
	})
}
