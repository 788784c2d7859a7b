package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// thrashing is the pressure of a container that thrashes, some time after it began.
func thrashing(passed time.Duration) Pressure {
	seconds := int64(passed / time.Second)
	return Pressure{
		LimitBytes: 1 << 30, UsedBytes: 1<<30 - 4096, FileBytes: 12 << 20, MappedBytes: 4 << 20, // the supervisor's own, which is locked
		MajorFaults: 150 * seconds, Refaults: 100_000 * seconds, UserMillis: 20 * seconds, SystemMillis: 450 * seconds,
	}
}

func TestThrashWatch(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *Pressure, passed time.Duration)
		found  time.Duration // zero: never
	}{
		"thrashing": {func(*Pressure, time.Duration) {}, 7 * time.Second}, // two readings to begin with
		"thrashing on a slow disk": {func(p *Pressure, _ time.Duration) {
			p.MajorFaults, p.Refaults = p.MajorFaults/10, p.Refaults/50
		}, 7 * time.Second},
		"thrashing with a pause": {func(p *Pressure, passed time.Duration) {
			if passed == 4*time.Second {
				p.UsedBytes /= 2
			}
		}, 10 * time.Second},
		"large files read at the limit":        {func(p *Pressure, _ time.Duration) { p.MajorFaults = 0 }, 0},
		"large files mapped at the limit":      {func(p *Pressure, _ time.Duration) { p.MappedBytes = 40 << 20 }, 0},
		"a cache that is too small":            {func(p *Pressure, _ time.Duration) { p.FileBytes = 512 << 20 }, 0},
		"programs that are run":                {func(p *Pressure, _ time.Duration) { p.UserMillis *= 5 }, 0},
		"programs that are run on a busy host": {func(p *Pressure, _ time.Duration) { p.SystemMillis /= 5 }, 0},
		"a program that is read once":          {func(p *Pressure, _ time.Duration) { p.Refaults = 0 }, 0},
		"no limit":                             {func(p *Pressure, _ time.Duration) { p.LimitBytes = 0 }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w := thrashWatch{looked: began, read: func() Pressure {
					p := thrashing(time.Since(began))
					tt.change(&p, time.Since(began))
					return p
				}}
				var found time.Duration
				for time.Since(began) < time.Minute && found == 0 {
					time.Sleep(sampleEvery)
					if w.look() {
						found = time.Since(began)
					}
				}
				require.Equal(t, tt.found, found)
			})
		})
	}
}

func TestKernelThatThrashesIsOutOfMemory(t *testing.T) {
	var began time.Time
	cfg := Config{Pressure: func() Pressure { return thrashing(time.Since(began)) }}
	onBench(t, &scripted{execute: stubborn}, cfg, func(t *testing.T, b *bench) {
		began = time.Now()
		c := b.claimed(t)
		c.execute("1", "")
		done := c.ends("1", kernel.EndingOOM, kernel.StateLost)
		require.Contains(t, done.Value, "out of memory: the kernel was killed: its memory was full")
		require.Less(t, time.Since(began), 2*thrashPatience)
		require.Positive(t, b.kernel.kills)
	})
}
