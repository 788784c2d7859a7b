package supervisor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// disk is a file system that a test fills: the workspace, and what others have on it.
type disk struct {
	mu     sync.Mutex
	size   int64 // of the workspace
	others int64
	fails  error
	walks  int
	slow   time.Duration // that a walk takes, which finds what there was at its beginning
}

const diskSize = 1 << 40

func (d *disk) Free() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return diskSize - d.size - d.others, d.fails
}

func (d *disk) Size(ctx context.Context) (int64, error) {
	d.mu.Lock()
	d.walks++
	size, fails := d.size, d.fails
	d.mu.Unlock()
	select {
	case <-time.After(d.slow):
		return size, fails
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// write changes the size of the workspace, in MiB.
func (d *disk) write(mib int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size += mib << 20
}

// writeOthers changes what others have.
func (d *disk) writeOthers(mib int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others += mib << 20
}

// steps is a kernel that calls a function every 100 ms, so often, or until an interrupt.
func steps(count int, step func()) func(*scripted, Run, Sink) error {
	return func(k *scripted, _ Run, sink Sink) error {
		sink.Event(kernel.Event{Type: kernel.TypeStarted})
		for range count {
			step()
			select {
			case <-k.interrupted:
				sink.Event(kernel.Event{Type: kernel.TypeError, Name: "KeyboardInterrupt"})
				return nil
			case <-time.After(100 * time.Millisecond):
			}
		}
		return nil
	}
}

// diskLimit is the limit of the tests, in MiB.
const diskLimit = 64

func TestDiskLimit(t *testing.T) {
	cases := []struct {
		name   string
		before int64 // MiB in the workspace
		step   func(d *disk)
		slow   time.Duration
		fails  error
		ending kernel.Ending
		walks  int // at least
	}{
		{name: "growth beyond it ends the execution", step: func(d *disk) { d.write(10) }, ending: kernel.EndingDiskFull, walks: 1},
		{name: "also where a walk takes long", step: func(d *disk) { d.write(10) }, slow: 300 * time.Millisecond, ending: kernel.EndingDiskFull, walks: 1},
		{name: "growth within it does not", step: func(d *disk) { d.write(3) }, ending: kernel.EndingOK, walks: 3},
		{name: "writing and deleting does not", before: 60, step: func(d *disk) { d.write(30); d.write(-30) }, ending: kernel.EndingOK},
		{name: "others' writing does not", before: 60, step: func(d *disk) { d.writeOthers(1000) }, ending: kernel.EndingOK, walks: 3},
		{name: "deleting in one that is too large does not", before: 1000, step: func(d *disk) { d.write(-30) }, ending: kernel.EndingOK},
		{name: "looking at nothing but what is there costs no walk", before: 1000, step: func(*disk) {}, ending: kernel.EndingOK},
		{name: "file system that cannot be read ends nothing", step: func(d *disk) { d.write(100) }, fails: errors.New("stale"), ending: kernel.EndingOK},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			d := &disk{size: tt.before << 20, slow: tt.slow, fails: tt.fails}
			onBench(t, &scripted{execute: steps(20, func() { tt.step(d) })}, Config{Workspace: d}, func(t *testing.T, b *bench) {
				c := b.claimed(t)
				c.send(kernel.Request{Op: kernel.OpExecute, ID: "1", Limits: &kernel.Limits{DiskBytes: diskLimit << 20}})
				done := c.ends("1", tt.ending, kernel.StatePreserved)
				require.Equal(t, tt.ending == kernel.EndingDiskFull, done.Value == "the workspace holds more than 67108864 bytes", done.Value)
				synctest.Wait()
				require.GreaterOrEqual(t, d.walks, tt.walks)
				if tt.walks == 0 {
					require.Zero(t, d.walks)
				}
			})
		})
	}
	t.Run("code that makes room runs after it, whatever others write", func(t *testing.T) {
		d := &disk{}
		onBench(t, &scripted{}, Config{Workspace: d}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			run := func(id string, ending kernel.Ending, step func()) {
				b.kernel.execute = steps(20, step)
				c.send(kernel.Request{Op: kernel.OpExecute, ID: id, Limits: &kernel.Limits{DiskBytes: diskLimit << 20}})
				c.ends(id, ending, kernel.StatePreserved)
			}
			run("fill", kernel.EndingDiskFull, func() { d.write(20) })
			full := d.size
			run("make room", kernel.EndingOK, func() { d.writeOthers(20); d.write(-1) })
			run("fill further", kernel.EndingDiskFull, func() { d.writeOthers(20); d.write(1) })
			require.Less(t, d.size, full)
			d.size = 0
			run("fill again", kernel.EndingDiskFull, func() { d.write(20) })
			require.LessOrEqual(t, d.size, full+20<<20, "as strictly as the first time, but for a step")
		})
	})
	t.Run("a walk for one execution does not end the next", func(t *testing.T) {
		d := &disk{slow: time.Second}
		onBench(t, &scripted{}, Config{Workspace: d}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			limits := &kernel.Limits{DiskBytes: diskLimit << 20}
			b.kernel.execute = steps(2, func() { d.write(100) })
			c.send(kernel.Request{Op: kernel.OpExecute, ID: "1", Limits: limits})
			c.ends("1", kernel.EndingOK, kernel.StatePreserved)
			b.kernel.execute = steps(20, func() { d.write(-1) })
			c.send(kernel.Request{Op: kernel.OpExecute, ID: "2", Limits: limits})
			c.ends("2", kernel.EndingOK, kernel.StatePreserved)
			require.Equal(t, 1, d.walks)
		})
	})
	t.Run("kernel that does not end is killed", func(t *testing.T) {
		d := &disk{}
		stubbornly := func(k *scripted, _ Run, sink Sink) error {
			sink.Event(kernel.Event{Type: kernel.TypeStarted})
			time.Sleep(time.Second)
			d.write(100)
			<-k.exited
			return ErrExited
		}
		onBench(t, &scripted{execute: stubbornly}, Config{Workspace: d}, func(t *testing.T, b *bench) {
			c := b.claimed(t)
			c.send(kernel.Request{Op: kernel.OpExecute, ID: "1", Limits: &kernel.Limits{DiskBytes: diskLimit << 20}})
			done := c.ends("1", kernel.EndingDiskFull, kernel.StateLost)
			require.Equal(t, "killed: it had not ended 2s after the interrupt for its limit (the workspace holds more than 67108864 bytes)", done.Value)
		})
	})
}
