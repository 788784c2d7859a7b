//go:build integration

package abusetest

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// usePlainProgram makes the servers that this test starts the program as it ships: the race detector multiplies what the
// program needs of memory and time.
func usePlainProgram(t *testing.T) {
	t.Helper()
	plain := filepath.Join(t.TempDir(), "cubby")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", plain, "cubby/cmd/cubby")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	racy := program
	program = plain
	t.Cleanup(func() { program = racy })
}
