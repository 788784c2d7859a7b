package orchestrator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/store"
)

// Somebody is told of a loss while it is being written that nobody has been.
func TestWriteDoesNotUndoWhatWasToldMeanwhile(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	s := newSession(&Manager{Config: Config{Store: kept}}, store.Context{ID: "a", Generation: 1}, StateReady)
	require.NoError(t, s.put(func(r *store.Context) {
		r.Loss = r.Loss.Happened(1, "its kernel died", time.Now())
		s.told(1)
	}))
	require.False(t, s.record.Loss.Untold())
	records, err := kept.Contexts()
	require.NoError(t, err)
	require.Equal(t, 1, records[0].Loss.Lost)
	require.False(t, records[0].Loss.Untold(), "nor does the store say so")
}
