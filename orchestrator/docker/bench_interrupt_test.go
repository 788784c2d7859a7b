//go:build integration

package docker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// interrupts is how many are measured of each kind.
const interrupts = 200

// BenchmarkInterrupt is an interrupt over HTTP, from the request to the last line of the execution, beside the floor, an
// echo through exec attach in the same container, in turn.
func BenchmarkInterrupt(b *testing.B) {
	w := newBench(b)
	id := w.create(b).ID
	echo := w.echo(b, w.container(b, id))
	for name, code := range map[string]string{
		"spinning": "print('on')\nwhile True: pass",
		"sleeping": "import time; print('on'); time.sleep(60)",
	} {
		b.Run(name, func(b *testing.B) {
			for range 20 { // warm up
				echo()
				w.interrupted(b, id, code)
			}
			var floor, took []time.Duration
			for b.Loop() {
				for range interrupts {
					floor = append(floor, timed(echo))
					took = append(took, w.interrupted(b, id, code))
				}
			}
			report(b, "echo", floor, "interrupt", took)
			b.ReportMetric(percentile(took, 95).Seconds()*1e3, "interrupt-p95-ms")
		})
	}
}

// interrupted runs code that prints something, interrupts it then, and returns how long that took.
func (w *bench) interrupted(b *testing.B, id, code string) time.Duration {
	b.Helper()
	var began time.Time
	var end wire.EndOfExecution
	req := wire.Execute{ContextID: id, Code: code, TimeoutMS: 60_000}
	require.NoError(b, w.Execute(b.Context(), req, func(line wire.Line) error {
		switch line := line.(type) {
		case wire.Output:
			began = time.Now()
			return w.Interrupt(b.Context(), id)
		case wire.EndOfExecution:
			end = line
		}
		return nil
	}))
	took := time.Since(began)
	require.Equal(b, "interrupted", end.Ending)
	require.Equal(b, "preserved", end.State)
	return took
}
