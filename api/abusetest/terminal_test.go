//go:build integration && linux

package abusetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestB6ControlBytesToAHuman: what code prints for a terminal to obey reaches programs as it is, and a person as text.
func TestB6ControlBytesToAHuman(t *testing.T) {
	const hostile = "a\x1b]52;c;ZWNobyBwd24=\a\x1b[2J\x00\rb\u009b31mc"
	const shown = "a^[]52;c;ZWNobyBwd24=^G^[[2J^@\rb\\x9b31mc"
	s := startServer(t)
	cc := s.create(t)
	code := fmt.Sprintf("import sys; print(%q, end='')\nprint(%[1]q, end='', file=sys.stderr)", hostile)
	got := s.run(t, cc, code)
	require.Equal(t, []string{hostile, hostile}, []string{got.stdout, got.stderr}, "the API")

	running := func(code string, flags ...string) []string {
		return append([]string{"ctx", "exec", "--url", s.client.URL, cc, "-c", code}, flags...)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a terminal":               {running(code), shown},
		"a terminal that asks":     {running(code, "--raw"), hostile},
		"a terminal told an error": {running(fmt.Sprintf("raise Exception(%q)", hostile)), shown},
	} {
		t.Run(name, func(t *testing.T) {
			seen := onTerminal(t, s.program, tt.args...)
			require.Contains(t, seen, tt.want)
			require.Equal(t, strings.Contains(tt.want, "\x1b"), strings.Contains(seen, "\x1b"), "%q", seen)
		})
	}
}

// onTerminal runs a command on a terminal of its own, as standard output and standard error, and returns what that got.
func onTerminal(t *testing.T, name string, args ...string) string {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	defer control.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetUint32(int(control.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer terminal.Close()

	cmd := exec.CommandContext(patient(t), name, args...)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	require.NoError(t, cmd.Start())
	_ = cmd.Wait() // code that raises is one of its endings
	_, err = terminal.WriteString(endOfTerminal)
	require.NoError(t, err)
	var seen strings.Builder
	for buffer := make([]byte, 4096); !strings.Contains(seen.String(), endOfTerminal); {
		n, err := control.Read(buffer)
		require.NoError(t, err)
		seen.Write(buffer[:n])
	}
	return seen.String()
}

// endOfTerminal marks the end of what a terminal has got: it has no other while somebody holds it open.
const endOfTerminal = "<end>"
