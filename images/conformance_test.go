//go:build integration

package images

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

var update = flag.Bool("update", false, "write the table of README.md")

const conformanceDir = "testdata/conformance"

// TestConformance plays the conformance kit against every language. Of one language alone only the image has to be
// there: -run TestConformance/bash, or TestConformance/bash/env for one case.
func TestConformance(t *testing.T) {
	languages, err := Languages()
	require.NoError(t, err)
	table := kitTable{cases: readKit(t)}
	for _, l := range languages {
		table.languages = append(table.languages, l.Name)
		t.Run(l.Name, func(t *testing.T) {
			table.add(l.Name, playKit(t, l.Name, Tag, filepath.Join(conformanceDir, l.Name+".txtar")))
		})
	}
	if t.Failed() || !table.isWhole() {
		return // the table tells of whole runs
	}
	const page = "README.md"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	want, err := table.replaceIn(string(text))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(text), "go test -tags integration ./images -run TestConformance -update writes the table")
}

// playKit plays the kit against a language in the image that tag names, with the snippets of a file, each case as a subtest. It returns
// the verdicts of the cases that were run.
func playKit(t *testing.T, language string, tag imagetest.Tag, file string) map[string]verdict {
	t.Helper()
	cases := readKit(t)
	content, err := os.ReadFile(file)
	require.NoError(t, err, "the kit needs snippets in every language: %s says which", filepath.Join(conformanceDir, "kit.txtar"))
	fits, err := parseKitLanguage(file, string(content), cases)
	require.NoError(t, err)
	p := &player{
		contexts: kitManager(t, language, tag), language: language, patience: time.Minute, kitLanguage: fits,
	}
	verdicts := map[string]verdict{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := p.play(t.Context(), c)
			for _, problem := range v.problems {
				t.Error(problem)
			}
			for _, reason := range v.exceptions {
				t.Logf("exception: %s", reason)
			}
			verdicts[c.name] = v
		})
	}
	return verdicts
}

func readKit(t *testing.T) []kitCase {
	t.Helper()
	const file = conformanceDir + "/kit.txtar"
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	cases, err := parseKit(file, string(content))
	require.NoError(t, err)
	return cases
}

// kitEngine is the engine that the docker CLI would use.
func kitEngine(t *testing.T, instance string) *docker.Engine {
	t.Helper()
	engine, err := imagetest.NewEngine(t.Context(), instance)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine
}

// tagged is the name of the only image.
func tagged(tag string) imagetest.Tag {
	return func(string, string) (string, error) { return tag, nil }
}

// kitManager is a manager with one language, on the real engine. It and all that it made are gone after the test.
func kitManager(t *testing.T, language string, tag imagetest.Tag) *orchestrator.Manager {
	t.Helper()
	world := imagetest.World{
		Languages: []orchestrator.Language{{Name: language}}, Tag: tag, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	require.NoError(t, world.Open(t.Context()))
	t.Cleanup(func() { require.NoError(t, world.Close()) })
	_, err := world.Image(t.Context(), language)
	require.NoError(t, err, "make build && bin/cubby images build %s", language)
	return world.Manager
}
