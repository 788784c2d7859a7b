//go:build integration

// Package javascript tests the driver of JavaScript and TypeScript inside its images, under the real supervisor.
package javascript

import (
	"os"
	"testing"
	"time"

	"cubby/images"
	"cubby/images/imagetest"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

type (
	cells = imagetest.Cells
	want  = imagetest.Want
)

var world = imagetest.World{Tag: images.Tag, Languages: []orchestrator.Language{
	{Name: "javascript", Aliases: []string{"js"}}, {Name: "typescript", Aliases: []string{"ts"}},
}}

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

// boot creates a context with the variable A, which is removed at the end of the test.
func boot(t *testing.T, language string) *imagetest.Context {
	t.Helper()
	return world.Boot(t, orchestrator.CreateRequest{Language: language, Env: map[string]string{"A": "a"}})
}

// interrupt runs code that prints up first, and interrupts it as soon as it has.
func interrupt(c *imagetest.Context, code string) *imagetest.Run {
	return c.InterruptAfter(`console.log("up");`+code, kernel.TypeStdout, 30*time.Millisecond)
}
