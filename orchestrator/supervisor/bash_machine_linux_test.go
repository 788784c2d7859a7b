package supervisor

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// shell is a bash adapter with a uid that nobody else has, and a home of its own.
type shell struct {
	*bash
	t    *testing.T
	runs int
}

// newShell returns a shell that has not booted. The test needs root, to act as another user.
func newShell(t *testing.T) *shell {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	reaper, end := testReaper(t)
	dir, err := os.MkdirTemp("", "supervisor") //nolint:usetesting // the user cannot enter a t.TempDir
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	uid := 1<<30 + rand.IntN(1<<28)
	home := filepath.Join(dir, "home")
	require.NoError(t, os.Mkdir(home, 0o700))
	require.NoError(t, os.Chown(home, uid, uid))
	language := Language{
		Name: "bash", Argv: []string{"/bin/bash", "--norc", "--noprofile", "--noediting", "-i"},
		Env: map[string]string{"HOME": home},
	}
	s := &shell{bash: newBash(language, newUserThread(uid), reaper, filepath.Join(dir, "cells")), t: t}
	s.home = home
	t.Cleanup(func() {
		end(s, &s.reading, s.user)
		left, err := os.ReadDir(s.cells)
		require.NoError(t, err)
		require.Empty(t, left, "files of executions that are over")
		require.NoError(t, os.RemoveAll(dir))
	})
	return s
}

// bootedShell returns a shell that takes requests.
func bootedShell(t *testing.T) *shell {
	t.Helper()
	s := newShell(t)
	version, err := s.Boot(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d+\.\d+\.\d+$`, version)
	require.NoError(t, s.Setup(t.Context(), s.home, nil))
	return s
}

// run runs code and returns what it told.
func (s *shell) run(code string, env ...string) *recorder {
	s.t.Helper()
	var sink recorder
	require.NoError(s.t, s.try(code, &sink, env...))
	return &sink
}

// try runs code, which may end the shell.
func (s *shell) try(code string, sink *recorder, env ...string) error {
	s.runs++
	run := Run{ID: fmt.Sprint(s.runs), Code: code, Env: map[string]string{}}
	for i := 0; i < len(env); i += 2 {
		run.Env[env[i]] = env[i+1]
	}
	return s.Execute(s.t.Context(), run, sink)
}

// prints requires that code prints a text and nothing else.
func (s *shell) prints(want, code string, env ...string) {
	s.t.Helper()
	sink := s.run(code, env...)
	require.Equal(s.t, want, sink.text(kernel.TypeStdout), code)
	require.Empty(s.t, sink.text(kernel.TypeStderr), code)
	require.Empty(s.t, sink.status(), code)
}

// status returns the value of the error, which is the exit status.
func (r *recorder) status() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if ev.Type == kernel.TypeError {
			return ev.Value
		}
	}
	return ""
}
