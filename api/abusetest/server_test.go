//go:build integration

package abusetest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
	"cubby/orchestrator/docker"
)

// server is the real server in a process of its own, with a state directory and an instance of its own.
type server struct {
	client *client.Client
	docker *sdk.Client // the engine as everybody sees it

	program string
	address string
	state   string   // its state directory
	args    []string // beyond the address and the state directory
	env     []string // beyond this process's
	log     string   // the file that all its processes write to
	told    bool     // the evidence of a failure has been shown

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// startServer starts a server and waits until it answers. At the end of the test it is killed, and everything that its
// instance has on the engine is removed.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	return startProgram(t, program, args...)
}

// startProgram is startServer for a program of another version.
func startProgram(t *testing.T, program string, args ...string) *server {
	t.Helper()
	address := freeAddress(t)
	s := &server{
		client: &client.Client{URL: "http://" + address}, docker: dial(t),
		program: program, address: address, state: t.TempDir(), args: args, log: filepath.Join(t.TempDir(), "server.log"),
	}
	t.Cleanup(func() { s.end(t) })
	s.start(t)
	return s
}

// freeAddress is one on loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// start starts the server, on the same state directory and port every time, and waits until it answers.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.launch(t)
	for deadline := time.Now().Add(patience); s.client.Health(t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.ended:
			require.FailNow(t, "the server ended before it answered; its log says why")
		default:
			require.True(t, time.Now().Before(deadline), "the server does not answer")
		}
	}
}

// launch starts the server's process.
func (s *server) launch(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer log.Close()
	s.cmd = exec.Command(s.program, append([]string{"serve", "--listen", s.address, "--state-dir", s.state}, s.args...)...) //nolint:noctx // kill, or a signal, ends it
	s.cmd.Env = append(foreignEnvironment(), "XDG_CONFIG_HOME="+s.state)
	s.cmd.Env = append(s.cmd.Env, s.env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	require.NoError(t, s.cmd.Start())
	ended := make(chan struct{})
	s.ended = ended
	cmd := s.cmd
	go func() { defer close(ended); _ = cmd.Wait() }()
}

// pid is that of the server's process.
func (s *server) pid() int { return s.cmd.Process.Pid }

// kill ends the server with no chance to do anything, and waits until it is gone.
func (s *server) kill(t *testing.T) {
	t.Helper()
	_ = s.cmd.Process.Kill() // fails only on one that has ended already
	s.await(t)
}

func (s *server) await(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		require.FailNow(t, "the server did not end")
	}
}

// end is the end of a test: evidence if it has failed, then nothing is left.
func (s *server) end(t *testing.T) {
	t.Helper()
	if t.Failed() && !s.told {
		s.tell(t)
	}
	if s.cmd != nil && s.cmd.Process != nil {
		s.kill(t)
	}
	s.removeInstance(t)
	require.NoError(t, s.docker.Close())
	written, err := os.ReadFile(s.log)
	require.NoError(t, err)
	require.False(t, bytes.Contains(written, []byte("DATA RACE")), "the race detector's report:\n%s", written)
}

// instance is the name that all of this server's containers and volumes carry; empty if it has never run.
func (s *server) instance(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile(filepath.Join(s.state, "instance"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	require.NoError(t, err)
	return strings.TrimSpace(string(name))
}

// removeInstance removes every container and volume that this server made.
func (s *server) removeInstance(t *testing.T) {
	t.Helper()
	instance := s.instance(t)
	if instance == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	engine, err := docker.New(ctx, docker.Config{Endpoint: endpoint(t), Instance: instance})
	require.NoError(t, err)
	defer engine.Close()
	_, err = engine.RemoveInstance(ctx)
	require.NoError(t, err)
}

// create creates a context and returns its id.
func (s *server) create(t *testing.T) string { t.Helper(); return s.createIn(t, python.language) }

// createIn creates a context of a language and returns its id.
func (s *server) createIn(t *testing.T, language string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cc, err := s.client.Create(ctx, wire.CreateContext{Language: language})
	require.NoError(t, err)
	return cc.ID
}

// detail is what the server tells of a context.
func (s *server) detail(t *testing.T, id string) wire.ContextDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := s.client.Get(ctx, id)
	require.NoError(t, err)
	return got
}

func (s *server) interrupt(t *testing.T, id string) { t.Helper(); s.act(t, s.client.Interrupt, id) }
func (s *server) restart(t *testing.T, id string)   { t.Helper(); s.act(t, s.client.Restart, id) }
func (s *server) remove(t *testing.T, id string)    { t.Helper(); s.act(t, s.client.Remove, id) }

func (s *server) act(t *testing.T, act func(context.Context, string) error, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	require.NoError(t, act(ctx, id))
}

// foreignEnvironment is this process's environment without what configures cubby.
func foreignEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CUBBY_") {
			kept = append(kept, variable)
		}
	}
	return append(kept, "CUBBY_DEFAULT_CONTEXTS=none") // these tests count what they have made themselves
}
