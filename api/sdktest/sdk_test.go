//go:build integration

package sdktest

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJavaScript runs the test files of js, one after the other, against a fresh server.
func TestJavaScript(t *testing.T) {
	dir := javaScript(t)
	s := startServer(t, freeAddress(t, "127.0.0.1:0"))
	files, err := filepath.Glob("js/*.test.mjs")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			// A call that was refused leaves a timer of the SDK behind, which would keep node alive for a minute.
			runFile(t, s, dir, "node", "--test", "--test-force-exit", "--test-reporter=spec", filepath.Base(file))
		})
	}
}

// TestPython runs the test files of python, one after the other, against a fresh server.
func TestPython(t *testing.T) {
	interpreter := python(t)
	s := startServer(t, freeAddress(t, "127.0.0.1:0"))
	files, err := filepath.Glob("python/test_*.py")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			runFile(t, s, "python", interpreter, "run.py", filepath.Base(file), "-v")
		})
	}
}

// runFile runs a test file. Its output is the test's.
func runFile(t *testing.T, s *server, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = debugMode(s.url)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Run(), "the output above says what failed")
}
