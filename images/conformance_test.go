//go:build integration

package images

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/store"
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
			tag, err := Tag(l.Name, kitArchitecture(t))
			require.NoError(t, err)
			table.add(l.Name, playKit(t, l.Name, tag, filepath.Join(conformanceDir, l.Name+".txtar")))
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

// playKit plays the kit against a language in an image, with the snippets of a file, each case as a subtest. It returns
// the verdicts of the cases that were run.
func playKit(t *testing.T, language, image, file string) map[string]verdict {
	t.Helper()
	cases := readKit(t)
	content, err := os.ReadFile(file)
	require.NoError(t, err, "the kit needs snippets in every language: %s says which", filepath.Join(conformanceDir, "kit.txtar"))
	fits, err := parseKitLanguage(file, string(content), cases)
	require.NoError(t, err)
	p := &player{
		contexts: kitManager(t, language, image), language: language, patience: time.Minute, kitLanguage: fits,
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
	endpoint, err := docker.Find(t.Context(), docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), Home: os.Getenv("HOME"),
	})
	require.NoError(t, err)
	engine, err := docker.New(t.Context(), docker.Config{Endpoint: endpoint, Instance: instance})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine
}

func kitArchitecture(t *testing.T) string {
	t.Helper()
	arch, err := adapter{kitEngine(t, "conformance-test")}.Architecture(t.Context())
	require.NoError(t, err)
	return arch
}

// kitImage is the image of the only language.
type kitImage orchestrator.Image

func (i kitImage) Image(context.Context, string) (orchestrator.Image, error) {
	return orchestrator.Image(i), nil
}

// kitManager is a manager with one language, on the real engine. It and all that it made are gone after the test.
func kitManager(t *testing.T, language, image string) *orchestrator.Manager {
	t.Helper()
	state, err := store.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, state.Close()) })
	engine := kitEngine(t, state.Instance())
	found, err := engine.ImageID(t.Context(), image)
	require.NoError(t, err, "make build && bin/cubby images build %s", language)
	m, err := orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: kitImage(found), Store: state,
		Languages: []orchestrator.Language{{Name: language}}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	require.NoError(t, m.Adopt(t.Context()))
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- m.Run(running) }()
	t.Cleanup(func() {
		stop()
		<-ended
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(running), time.Minute)
		defer cancel()
		_, err := engine.RemoveInstance(cleaning)
		require.NoError(t, err)
	})
	return m
}
