//go:build integration

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
)

// asProgram in the environment makes the test binary the program, so that a test can kill a real server.
const asProgram = "CUBBY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// killable is a server in a process of its own.
type killable struct {
	*client.Client
	process *exec.Cmd
	state   string
}

// startServer starts a server on a state directory and waits until it answers.
func startServer(t *testing.T, state string) *killable {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	s := &killable{
		Client: &client.Client{URL: "http://" + address}, state: state,
		process: exec.Command(os.Args[0], "serve", "--listen", address, "--state-dir", state, "--log-level", "warn"), //nolint:noctx // the test kills it
	}
	s.process.Env = append(os.Environ(), asProgram+"=1", "HOME="+t.TempDir())
	s.process.Stderr = t.Output()
	require.NoError(t, s.process.Start())
	t.Cleanup(s.kill)
	require.Eventually(t, func() bool { return s.Health(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	return s
}

// kill ends the server with no chance to do anything.
func (s *killable) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// stdout runs code and returns what it printed.
func (s *killable) stdout(t *testing.T, id, code string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, s.Execute(t.Context(), wire.Execute{ContextID: id, Code: code}, func(line wire.Line) error {
		switch line := line.(type) {
		case wire.Output:
			out.WriteString(line.Text)
		case wire.ExecutionError:
			out.WriteString(line.Name)
		}
		return nil
	}))
	return out.String()
}

// TestIntegrationCrash: contexts outlive their server's sudden death, twenty times in a row, with their
// variables; a server with another state directory leaves them alone.
func TestIntegrationCrash(t *testing.T) {
	c := onDocker(t)
	state, another := t.TempDir(), t.TempDir()
	t.Cleanup(func() { removeMade(t, c, state); removeMade(t, c, another) })
	s := startServer(t, state)
	var ids []string
	for range 2 {
		cc, err := s.Create(t.Context(), wire.CreateContext{})
		require.NoError(t, err)
		ids = append(ids, cc.ID)
		require.Empty(t, s.stdout(t, cc.ID, "x = '"+cc.ID+"'"))
	}
	stranger := startServer(t, another)
	for range 20 {
		s.kill()
		s = startServer(t, state)
		list, err := s.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, len(ids))
		for i, id := range ids {
			require.Equal(t, id, list[i].ID)
			require.Equal(t, id+"\n", s.stdout(t, id, "print(x)"))
		}
	}
	none, err := stranger.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestIntegrationCrashDuringCreate: a server killed at some moment of a create leaves, after its next start, a
// context that answers, or nothing.
func TestIntegrationCrashDuringCreate(t *testing.T) {
	c := onDocker(t)
	state := t.TempDir()
	t.Cleanup(func() { removeMade(t, c, state) })
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, 450 * time.Millisecond} {
		s := startServer(t, state)
		ctx, cancel := context.WithCancel(t.Context())
		creating := make(chan struct{})
		go func() { defer close(creating); _, _ = s.Create(ctx, wire.CreateContext{}) }()
		time.Sleep(after)
		s.kill()
		cancel()
		<-creating
		s = startServer(t, state)
		list, err := s.List(t.Context())
		require.NoError(t, err)
		for _, cc := range list {
			require.Equal(t, "1\n", s.stdout(t, cc.ID, "print(1)"))
			require.NoError(t, s.Remove(t.Context(), cc.ID))
		}
		s.kill()
		left, err := engineOf(t, c, state).List(t.Context())
		require.NoError(t, err)
		require.Empty(t, left, "killed %v into a create", after)
	}
}
