//go:build integration

// Package deno tests the driver of Deno inside its image, under the real supervisor, in what the conformance kit does not
// cover.
package deno

import (
	"os"
	"testing"

	"cubby/images"
	"cubby/images/imagetest"
	"cubby/orchestrator"
)

type (
	cells = imagetest.Cells
	want  = imagetest.Want
)

var world = imagetest.World{Tag: images.Tag, Languages: []orchestrator.Language{{Name: "deno"}}}

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

// boot creates a context, which is removed at the end of the test.
func boot(t *testing.T) *imagetest.Context {
	t.Helper()
	return world.Boot(t, orchestrator.CreateRequest{Language: "deno"})
}
