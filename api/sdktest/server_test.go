//go:build integration

package sdktest

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/docker"
)

// patience bounds every wait of these tests; it is no expectation.
const patience = 2 * time.Minute

// server is a real server, with an instance of its own.
type server struct {
	url    string
	engine *docker.Engine // sees what the server has on the engine
}

// startServer starts the server's program on an address, with fresh state and more variables. At the end of the test it is
// interrupted, and has to leave nothing but its workspace, which is removed then.
func startServer(t *testing.T, address string, env ...string) *server {
	t.Helper()
	state := t.TempDir()
	cmd := exec.Command(program(t), "serve", "--listen", address, "--state-dir", state, "--remove-on-exit") //nolint:noctx // ends by the signal below
	// The tests count the contexts that they have made, unless they ask for more.
	cmd.Env = append(append(environment("CUBBY_", "E2B_"), "CUBBY_DEFAULT_CONTEXTS=none"), env...)
	log, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s := &server{url: "http://" + address}
	t.Cleanup(func() {
		stop(t, cmd, ended)
		tell(t, log)
		if s.engine == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left := s.onEngine(ctx, t)
		_, err := s.engine.RemoveInstance(ctx)
		require.NoError(t, err)
		require.NoError(t, s.engine.Close())
		require.Empty(t, left, "left on the engine after --remove-on-exit")
	})
	s.awaitHealth(t, ended)
	s.engine = connect(t, state)
	return s
}

// program returns the path of the server's program.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(cmp.Or(os.Getenv("CUBBY_BIN"), "../../bin/cubby"))
	require.NoError(t, err)
	require.FileExists(t, path, "build it: make build")
	return path
}

// stop interrupts the server, as Ctrl-C does, and waits for its end.
func stop(t *testing.T, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	_ = cmd.Process.Signal(os.Interrupt) // fails only on one that has ended already
	select {
	case err := <-ended:
		require.NoError(t, err, "the server's end")
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-ended
		t.Error("the server did not stop")
	}
}

// tell shows the server's log where something failed.
func tell(t *testing.T, log *os.File) {
	t.Helper()
	require.NoError(t, log.Close())
	content, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	if t.Failed() {
		t.Logf("the server's log:\n%s", content)
	}
}

// awaitHealth waits until the server answers.
func (s *server) awaitHealth(t *testing.T, ended <-chan error) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/health", http.NoBody)
		require.NoError(t, err)
		if response, err := http.DefaultClient.Do(request); err == nil {
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)
			return
		}
		require.Empty(t, ended, "the server ended before it answered; its log says why")
	}
	t.Fatal("the server does not answer")
}

// connect connects to the engine as the server does, and as its instance.
func connect(t *testing.T, state string) *docker.Engine {
	t.Helper()
	instance, err := os.ReadFile(filepath.Join(state, "instance"))
	require.NoError(t, err)
	endpoint, err := docker.Find(t.Context(), docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), ConfigDir: os.Getenv("DOCKER_CONFIG"),
		Home: os.Getenv("HOME"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
		CertPath: os.Getenv("DOCKER_CERT_PATH"), TLSVerify: os.Getenv("DOCKER_TLS_VERIFY") != "",
	})
	require.NoError(t, err)
	engine, err := docker.New(t.Context(), docker.Config{Endpoint: endpoint, Instance: strings.TrimSpace(string(instance))})
	require.NoError(t, err)
	return engine
}

// onEngine names what the server has on the engine beyond the default workspace.
func (s *server) onEngine(ctx context.Context, t *testing.T) []string {
	t.Helper()
	containers, err := s.engine.List(ctx)
	require.NoError(t, err)
	workspaces, err := s.engine.ListWorkspaces(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, workspaces, "the default workspace is gone")
	names := workspaces[1:]
	for _, c := range containers {
		names = append(names, c.Name)
	}
	return names
}

// contexts returns the ids that the server lists.
func (s *server) contexts(t *testing.T) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/contexts", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var list []struct{ ID string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&list))
	ids := make([]string, 0, len(list))
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

// freeAddress returns a loopback address that nobody listens on, and the wanted one if it is such an address.
func freeAddress(t *testing.T, wanted string) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", wanted)
	if err != nil {
		listener, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	}
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// environment returns this process's environment without the variables that begin with a prefix.
func environment(without ...string) []string {
	var kept []string
	for _, variable := range os.Environ() {
		drop := false
		for _, prefix := range without {
			drop = drop || strings.HasPrefix(strings.ToUpper(variable), prefix)
		}
		if !drop {
			kept = append(kept, variable)
		}
	}
	return kept
}
