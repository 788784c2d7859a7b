//go:build integration

package abusetest

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// counting is code that prints a number every 10 ms, from 0 up to a limit, and says when its first one is out.
const counting = "import time\nfor i in range(%d): print(i, flush=True); time.sleep(0.01)"

// sleeping is code that says that it is on and then runs for longer than any test.
const sleeping = "print('on', flush=True)\nimport time; time.sleep(600)"

// isOn says that sleeping code sleeps.
func isOn(o outcome) bool { return strings.Contains(o.stdout, "on\n") }

// patient is a context for one call of a test.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// crash kills the server and starts it again.
func (s *server) crash(t *testing.T) {
	t.Helper()
	s.kill(t)
	s.start(t)
}

// ids are the contexts that the server lists.
func (s *server) ids(t *testing.T) []string {
	t.Helper()
	list, err := s.client.List(patient(t))
	require.NoError(t, err)
	ids := make([]string, 0, len(list))
	for _, cc := range list {
		ids = append(ids, cc.ID)
	}
	return ids
}

// requireIntact holds that a context has x = 41 still.
func (s *server) requireIntact(t *testing.T, id string) {
	t.Helper()
	got := s.run(t, id, "x + 1")
	require.Equal(t, "42", got.text, "context %s has lost its variables: %+v", id, got)
}

// bridges are the processes that carry frames in and out of a container: the supervisors that are not PID 1.
func (b *box) bridges(t *testing.T) []process {
	t.Helper()
	var found []process
	for _, p := range b.processes(t) {
		if p.name == "supervisor" && p.pid != b.pid {
			found = append(found, p)
		}
	}
	return found
}

// requireGone holds that nothing is left of a container, on the engine and on its host.
func (b *box) requireGone(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return b.isGone(patient(t)) && len(b.processes(t)) == 0 }, patience, probeEvery,
		"something is left of container %s", b.id)
}

// slay kills a process of a container from the host.
func slay(t *testing.T, pid int) {
	t.Helper()
	require.Greater(t, pid, 1)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// command runs the program to its end, and returns its exit code and all that it said.
func command(t *testing.T, name string, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(patient(t), name, args...)
	cmd.Env = append(foreignEnvironment(), "XDG_CONFIG_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}
