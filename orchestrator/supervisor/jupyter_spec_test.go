package supervisor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKernelspec(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "venv", "kernels", "x")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	spec := `{"argv":["x","{connection_file}"],"env":{"A":"a","B":"b"},"interrupt_mode":"message"}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kernel.json"), []byte(spec), 0o600))
	dirs := []string{filepath.Join(root, "nowhere"), filepath.Join(root, "*", "kernels")}

	language, err := withSpec(Language{Kernelspec: "x", Env: map[string]string{"B": "own"}}, dirs)
	require.NoError(t, err)
	require.Equal(t, []string{"x", "{connection_file}"}, language.Argv)
	require.Equal(t, map[string]string{"A": "a", "B": "own"}, language.Env)
	require.Equal(t, interruptMessage, language.Interrupt)

	language, err = withSpec(Language{Kernelspec: "x", Argv: []string{"own"}, Interrupt: interruptSignal}, dirs)
	require.NoError(t, err)
	require.Equal(t, []string{"own"}, language.Argv, "what language.json says comes first")
	require.Equal(t, interruptSignal, language.Interrupt)

	_, err = withSpec(Language{Kernelspec: "y"}, dirs)
	require.ErrorContains(t, err, "find the kernelspec y: it is in none of")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kernel.json"), []byte("{"), 0o600))
	_, err = withSpec(Language{Kernelspec: "x"}, dirs)
	require.ErrorContains(t, err, filepath.Join(dir, "kernel.json"))
}

func TestConnectionFile(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "x")
	require.NoError(t, os.WriteFile(program, nil, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), nil, 0o600))
	env := []string{"A=b", "PATH=/nowhere:" + dir}

	argv, err := withConnection([]string{"x", "-f={connection_file}"}, env, "/c")
	require.NoError(t, err)
	require.Equal(t, []string{program, "-f=/c"}, argv)
	_, err = withConnection([]string{"text", "{connection_file}"}, env, "/c")
	require.ErrorContains(t, err, "find the kernel's program text")
	_, err = withConnection([]string{"x"}, env, "/c")
	require.ErrorContains(t, err, "does not name {connection_file}")
}
