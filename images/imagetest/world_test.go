package imagetest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorldThatDoesNotOpenLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	t.Setenv("DOCKER_HOST", "unix://"+folder+"/nobody.sock")
	w := World{}
	require.ErrorContains(t, w.Open(t.Context()), "nobody.sock")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, w.Close())
}
