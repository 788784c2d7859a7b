//go:build integration

// Package java tests the Java driver inside its image, under the real supervisor.
package java

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

var world = imagetest.World{Tag: images.Tag, Languages: []orchestrator.Language{{Name: "java"}}}

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

// boot creates a context with the variable A, which is removed at the end of the test.
func boot(t *testing.T) *imagetest.Context {
	t.Helper()
	return world.Boot(t, orchestrator.CreateRequest{Language: "java", Env: map[string]string{"A": "a"}})
}

// interrupt runs code that prints up first, and interrupts it as soon as it has.
func interrupt(c *imagetest.Context, code string) *imagetest.Run {
	return c.InterruptAfter("System.out.println(\"up\");\n"+code, kernel.TypeStdout, 100*time.Millisecond)
}
