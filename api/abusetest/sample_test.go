//go:build integration

package abusetest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sampleEvery is the pause between two looks at a control group.
const sampleEvery = 5 * time.Millisecond

// peaks are the highest values that a container's control groups were seen to have.
type peaks struct {
	pids, limit int64 // processes and threads, and how many there may be
	oomKills    int64
}

// sample looks at the container's control groups until the returned function is called, or the container is gone.
func (b *box) sample(t *testing.T) (stop func() peaks) {
	t.Helper()
	var sampling sync.WaitGroup
	var seen peaks
	finish := make(chan struct{})
	seen.limit = b.number(t, "pids", "pids.max", "")
	sampling.Go(func() {
		for {
			pids, gone := b.read("pids", "pids.current", "")
			kills, unread := b.readOOMKills()
			if gone != nil || unread != nil {
				return
			}
			seen.pids, seen.oomKills = max(seen.pids, pids), max(seen.oomKills, kills)
			select {
			case <-finish:
				return
			case <-time.After(sampleEvery):
			}
		}
	})
	end := sync.OnceFunc(func() { close(finish); sampling.Wait() })
	t.Cleanup(end)
	return func() peaks { end(); return seen }
}

// requireAtLimit holds that a bomb reached the limit of processes, and did not pass it. A fork that is about to be
// refused is counted for a moment.
func (p peaks) requireAtLimit(t *testing.T) {
	t.Helper()
	t.Logf("at most %d processes and threads of %d", p.pids, p.limit)
	require.Equal(t, int64(256), p.limit)
	require.GreaterOrEqual(t, p.pids, p.limit*3/4)
	require.LessOrEqual(t, p.pids, p.limit*9/8)
}
