//go:build integration

package docker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// oneLine is code of one line in each language, and what it shows or prints.
var oneLine = map[string][2]string{
	"bash": {"echo $((1 + 1))", "2"}, "deno": {"1 + 1", "2"}, "java": {"1 + 1", "2"}, "javascript": {"1 + 1", "2"},
	"python": {"1 + 1", "2"}, "r": {"1 + 1", "[1] 2"}, "typescript": {"1 + 1 as number", "2"},
}

// BenchmarkLanguages is one line of code over HTTP in each language beside the echo of a line by cat in the same container,
// in turn; and how long the first context took until it answered, and the memory that it has then.
func BenchmarkLanguages(b *testing.B) {
	for language, line := range oneLine {
		b.Run(language, func(b *testing.B) {
			w := newBenchOf(b, language)
			var id string
			run := func() {
				var said strings.Builder
				require.NoError(b, w.Execute(b.Context(), wire.Execute{ContextID: id, Code: line[0]}, func(l wire.Line) error {
					switch l := l.(type) {
					case wire.Result:
						said.WriteString(*l.Text)
					case wire.Output:
						said.WriteString(l.Text)
					}
					return nil
				}))
				require.Equal(b, line[1], strings.TrimSpace(said.String()))
			}
			created := timed(func() { id = w.create(b).ID; run() })
			container := w.container(b, id)
			memory := w.pss(b, container)
			echo := w.echo(b, container)
			for range 20 { // warm up
				echo()
				run()
			}
			var floor, took []time.Duration
			for b.Loop() {
				floor = append(floor, timed(echo))
				took = append(took, timed(run))
			}
			report(b, "echo", floor, "http", took)
			b.ReportMetric(created.Seconds()*1e3, "create-ms")
			b.ReportMetric(memory, "MiB")
		})
	}
}
