package images

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// program returns the output of a shell script.
func program(t *testing.T, script string) *output {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return &output{cmd: cmd, stdout: stdout}
}

func TestOutput(t *testing.T) {
	t.Run("ends like the file that it is", func(t *testing.T) {
		o := program(t, "printf whole")
		got, err := io.ReadAll(o)
		require.NoError(t, err)
		require.Equal(t, "whole", string(got))
		_, err = o.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, o.Close())
	})
	t.Run("of a program that failed never ends well", func(t *testing.T) {
		o := program(t, "printf half; exit 3")
		got, err := io.ReadAll(o)
		require.ErrorContains(t, err, "exit status 3")
		require.Equal(t, "half", string(got))
		_, err = o.Read(make([]byte, 1))
		require.ErrorContains(t, err, "exit status 3")
	})
	t.Run("closing ends the program", func(t *testing.T) {
		o := program(t, "exec sleep 600")
		require.NoError(t, o.Close())
		require.NotNil(t, o.cmd.ProcessState)
		require.NoError(t, o.Close())
	})
}

func TestBootstrap(t *testing.T) {
	// A PATH without mmdebstrap and without apt-get is that of a machine which is not Debian.
	bin := t.TempDir()
	for _, name := range []string{"sh", "id", "sed", "mktemp", "rm"} {
		tool, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(tool, filepath.Join(bin, name)))
	}
	t.Setenv("PATH", bin)
	var said bytes.Buffer
	archive, err := bootstrap(t.Context(), "amd64", &said)
	require.NoError(t, err)
	_, err = io.ReadAll(archive)
	require.ErrorContains(t, err, "base.sh: exit status 1")
	require.Contains(t, said.String(), "cannot bootstrap Debian")
	require.NoError(t, archive.Close())
}

func TestFirstBundle(t *testing.T) {
	dir := t.TempDir()
	there, missing := filepath.Join(dir, "bundle.crt"), filepath.Join(dir, "missing.crt")
	require.NoError(t, os.WriteFile(there, []byte("PEM"), 0o600))

	got, err := firstBundle([]string{missing, there})
	require.NoError(t, err)
	require.Equal(t, "PEM", string(got))

	got, err = firstBundle([]string{missing})
	require.NoError(t, err)
	require.Empty(t, got)

	_, err = firstBundle([]string{dir, there})
	require.Error(t, err, "a bundle that cannot be read is not passed over")
}
