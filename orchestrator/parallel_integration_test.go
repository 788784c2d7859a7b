//go:build integration

package orchestrator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// TestContextsRunInParallel: each of two sleeps begins before the other ends.
func TestContextsRunInParallel(t *testing.T) {
	w := newWorld(t)
	ids := []string{w.create(t), w.create(t)}
	began := time.Now()
	var running []*orchestrator.Execution
	for _, id := range ids {
		e, err := w.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: "import time\nt = time.time(); time.sleep(2); print(t, time.time())"})
		require.NoError(t, err)
		running = append(running, e)
	}
	var spans [2][2]float64
	for i, e := range running {
		got := collect(t, e)
		require.Equal(t, kernel.EndingOK, got.done.Ending)
		_, err := fmt.Sscan(got.stdout, &spans[i][0], &spans[i][1])
		require.NoError(t, err)
	}
	t.Logf("two sleeps of 2 s took %v", time.Since(began))
	require.Less(t, spans[0][0], spans[1][1])
	require.Less(t, spans[1][0], spans[0][1])
}
