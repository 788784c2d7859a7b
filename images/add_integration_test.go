//go:build integration

package images

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// exampleDir is the worked example of README.md.
const exampleDir = "examples/ruby"

// booting returns what boots an image once, as cmd does.
func booting(engine *docker.Engine) func(ctx context.Context, tag string) (string, error) {
	return func(ctx context.Context, tag string) (string, error) {
		image, err := engine.ImageID(ctx, tag)
		if err != nil {
			return "", err
		}
		return orchestrator.TryImage(ctx, engine, image, orchestrator.Limits{}, orchestrator.WideUIDs)
	}
}

// addExample adds the example under a name of the test's own, so that nobody's Ruby is touched, and removes it again.
func addExample(t *testing.T, engine *docker.Engine, name string, change func(dir string)) (Added, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(exampleDir)))
	path := filepath.Join(dir, "language.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	write(t, path, strings.NewReplacer(`"ruby"`, `"`+name+`"`, `"rb"`, ``).Replace(string(text)))
	change(dir)
	ca, err := HostCA()
	require.NoError(t, err)
	t.Cleanup(func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		built, err := engine.ListImages(cleaning)
		require.NoError(t, err)
		for _, image := range built {
			if strings.HasPrefix(image.Tag, "cubby-"+name+":") || strings.HasPrefix(image.Tag, "cubby-"+name+"-packages:") {
				require.NoError(t, engine.RemoveImage(cleaning, image.Tag))
			}
		}
	})
	return Add(t.Context(), adapter{engine}, AddOptions{
		Name: name, Dir: dir,
		BuildOptions: BuildOptions{
			CA: ca, Progress: t.Output(), Try: booting(engine),
			Proxies: Proxies{HTTP: os.Getenv("http_proxy"), HTTPS: os.Getenv("https_proxy"), No: os.Getenv("no_proxy")},
		},
	})
}

// TestAddedLanguage adds the example and plays the conformance kit against it: one case alone is
// -run TestAddedLanguage/env.
func TestAddedLanguage(t *testing.T) {
	engine := kitEngine(t, "add-test")
	added, err := addExample(t, engine, "ruby-test", func(string) {})
	require.NoError(t, err)
	require.Regexp(t, `^3\.`, added.Version)
	playKit(t, added.Name, added.Tag, filepath.Join(exampleDir, "conformance.txtar"))
}

func TestAddRefusesOnTheEngine(t *testing.T) {
	engine := kitEngine(t, "add-test")
	for name, tt := range map[string]struct {
		file, content string
		want          string
	}{
		"an image with a VOLUME":      {"Dockerfile", "ARG BASE\nFROM ${BASE}\nVOLUME /data\n", "declares VOLUME /data"},
		"a driver that dies at boot":  {"Dockerfile", "ARG BASE\nFROM ${BASE}\n", "start /usr/bin/ruby: no such file or directory"},
		"a Dockerfile that is broken": {"Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN exit 3\n", "returned a non-zero code: 3"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := addExample(t, engine, "refused-test", func(dir string) { write(t, filepath.Join(dir, tt.file), tt.content) })
			require.ErrorContains(t, err, tt.want)
			built, err := engine.ListImages(t.Context())
			require.NoError(t, err)
			for _, image := range built {
				require.NotContains(t, image.Tag, "cubby-refused-test:")
			}
			left, err := engine.List(t.Context())
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// TestAddedJupyterImage adds an image that has a kernel for Jupyter and knows nothing of cubby.
func TestAddedJupyterImage(t *testing.T) {
	const ref, name = "jupyter-image-test:1", "jupyter-test"
	engine := kitEngine(t, "add-test")
	b := newBuilder(adapter{engine}, BuildOptions{
		Progress: t.Output(), Try: booting(engine),
		Proxies: Proxies{HTTP: os.Getenv("http_proxy"), HTTPS: os.Getenv("https_proxy"), No: os.Getenv("no_proxy")},
	})
	arch, err := b.engine.Architecture(t.Context())
	require.NoError(t, err)
	b.base, err = b.findBase(t.Context(), arch)
	require.NoError(t, err)
	t.Cleanup(func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		built, err := engine.ListImages(cleaning)
		require.NoError(t, err)
		for _, image := range built {
			if image.Tag == ref || strings.HasPrefix(image.Tag, "cubby-"+name+":") {
				require.NoError(t, engine.RemoveImage(cleaning, image.Tag))
			}
		}
	})
	require.NoError(t, b.fetch(t.Context(), ref, []file{{name: "Dockerfile", mode: 0o644, content: []byte(
		"ARG BASE\nFROM ${BASE}\nRUN apt-get update && apt-get install -y --no-install-recommends python3-ipykernel\n",
	)}}))
	added, err := b.add(t.Context(), AddOptions{Name: name, Image: ref}, time.Now())
	require.NoError(t, err)
	require.Regexp(t, `^3\.`, added.Version)
	playKit(t, name, added.Tag, filepath.Join(conformanceDir, "python.txtar"))
}
