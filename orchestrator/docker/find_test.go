package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// shortDir returns a directory whose name leaves room for the name of a socket, which has a short limit.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cubby") //nolint:usetesting // t.TempDir's names are too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// listenAt makes a socket on which somebody listens.
func listenAt(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
}

// leaveAt makes a socket on which nobody listens any more.
func leaveAt(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false)
	require.NoError(t, listener.Close())
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// writeContext stores a docker context, with TLS files of the given names.
func writeContext(t *testing.T, config, name, meta string, tlsFiles ...string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	writeFile(t, filepath.Join(config, "contexts/meta", id, "meta.json"), meta)
	dir := filepath.Join(config, "contexts/tls", id, "docker")
	for _, file := range tlsFiles {
		writeFile(t, filepath.Join(dir, file), "")
	}
	return dir
}

func TestFindHost(t *testing.T) {
	t.Run("DOCKER_HOST wins over a context", func(t *testing.T) {
		ep, err := find(t.Context(), FindOptions{Host: "tcp://10.0.0.1:2375", Context: "colima"}, t.TempDir())
		require.NoError(t, err)
		require.Equal(t, Endpoint{Host: "tcp://10.0.0.1:2375", Source: "DOCKER_HOST"}, ep)
	})
	t.Run("TLS is verified with the files of DOCKER_CERT_PATH", func(t *testing.T) {
		ep, err := find(t.Context(), FindOptions{Host: "tcp://h:2376", CertPath: "/certs", TLSVerify: true}, t.TempDir())
		require.NoError(t, err)
		require.Equal(t, &TLS{CAFile: "/certs/ca.pem", CertFile: "/certs/cert.pem", KeyFile: "/certs/key.pem"}, ep.TLS)
	})
	t.Run("TLS without a path uses the CLI's files", func(t *testing.T) {
		ep, err := find(t.Context(), FindOptions{Host: "tcp://h:2376", Home: "/home/me", TLSVerify: true}, t.TempDir())
		require.NoError(t, err)
		require.Equal(t, "/home/me/.docker/ca.pem", ep.TLS.CAFile)
	})
	for name, c := range map[string]struct{ host, words string }{
		"SSH is refused with a way out":  {"ssh://me@host", "ssh -NL"},
		"a pipe is refused":              {"npipe:////./pipe/docker_engine", "unix:// and tcp://"},
		"what is no address is refused":  {"localhost", "no address"},
		"what is unreadable is refused ": {"unix://\x7f", "no address"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := find(t.Context(), FindOptions{Host: c.host}, t.TempDir())
			require.ErrorIs(t, err, orchestrator.ErrEngine)
			require.ErrorContains(t, err, c.words)
		})
	}
}

func TestFindContext(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, ".docker")
	writeFile(t, filepath.Join(config, "config.json"), `{"auths":{},"currentContext":"colima"}`)
	writeContext(t, config, "colima", `{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///home/me/.colima/default/docker.sock"}}}`)
	files := writeContext(t, config, "far", `{"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}`, "ca.pem", "cert.pem")
	writeContext(t, config, "remote", `{"Endpoints":{"docker":{"Host":"ssh://far"}}}`)
	writeContext(t, config, "torn", `{"Endpoi`)
	writeContext(t, config, "empty", `{"Endpoints":{"kubernetes":{}}}`)

	t.Run("the current context is the CLI's", func(t *testing.T) {
		ep, err := find(t.Context(), FindOptions{Home: home}, t.TempDir())
		require.NoError(t, err)
		require.Equal(t, Endpoint{Host: "unix:///home/me/.colima/default/docker.sock", Source: "docker context colima"}, ep)
	})
	t.Run("DOCKER_CONTEXT wins over it, with the TLS files that there are", func(t *testing.T) {
		ep, err := find(t.Context(), FindOptions{ConfigDir: config, Context: "far"}, t.TempDir())
		require.NoError(t, err)
		require.Equal(t, "tcp://far:2376", ep.Host)
		require.Equal(t, &TLS{CAFile: files + "/ca.pem", CertFile: files + "/cert.pem", SkipVerify: true}, ep.TLS)
	})
	t.Run("the default context is the known sockets", func(t *testing.T) {
		root := shortDir(t)
		listenAt(t, root+"/var/run/docker.sock")
		ep, err := find(t.Context(), FindOptions{Home: home, Context: "default"}, root)
		require.NoError(t, err)
		require.Equal(t, "unix://"+root+"/var/run/docker.sock", ep.Host)
	})
	for name, words := range map[string]string{
		"missing": "docker context ls", "remote": "does not speak SSH", "torn": "read docker context", "empty": "no address",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			_, err := find(t.Context(), FindOptions{Home: home, Context: name}, t.TempDir())
			require.ErrorIs(t, err, orchestrator.ErrEngine)
			require.ErrorContains(t, err, words)
		})
	}
	t.Run("a broken configuration is named", func(t *testing.T) {
		broken := t.TempDir()
		writeFile(t, filepath.Join(broken, "config.json"), `{`)
		_, err := find(t.Context(), FindOptions{ConfigDir: broken}, t.TempDir())
		require.ErrorContains(t, err, filepath.Join(broken, "config.json"))
	})
}

func TestFindSocket(t *testing.T) {
	for name, path := range map[string]string{
		"the system's":     "/var/run/docker.sock",
		"rootless":         "/run/user/1000/docker.sock",
		"Docker Desktop's": "/home/me/.docker/run/docker.sock",
		"colima's":         "/home/me/.colima/default/docker.sock",
	} {
		t.Run(name, func(t *testing.T) {
			root := shortDir(t)
			listenAt(t, root+path)
			ep, err := find(t.Context(), FindOptions{Home: root + "/home/me", RuntimeDir: root + "/run/user/1000"}, root)
			require.NoError(t, err)
			require.Equal(t, Endpoint{Host: "unix://" + root + path, Source: "socket " + root + path}, ep)
		})
	}
	t.Run("a dead socket is passed over", func(t *testing.T) {
		root := shortDir(t)
		leaveAt(t, root+"/var/run/docker.sock")
		listenAt(t, root+"/home/me/.docker/run/docker.sock")
		ep, err := find(t.Context(), FindOptions{Home: root + "/home/me"}, root)
		require.NoError(t, err)
		require.Contains(t, ep.Host, "/home/me/.docker/run/docker.sock")
	})
	t.Run("only a dead socket: start the engine", func(t *testing.T) {
		root := shortDir(t)
		leaveAt(t, root+"/var/run/docker.sock")
		_, err := find(t.Context(), FindOptions{}, root)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "nothing listens on")
	})
	t.Run("installed but stopped: start it", func(t *testing.T) {
		root := shortDir(t)
		writeFile(t, root+"/usr/bin/dockerd", "")
		_, err := find(t.Context(), FindOptions{}, root)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "not running: start it")
	})
	t.Run("nothing: install one", func(t *testing.T) {
		_, err := find(t.Context(), FindOptions{}, t.TempDir())
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "install one")
	})
}
