//go:build integration

package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		version, err := orchestrator.TryImage(ctx, engine, image, orchestrator.Limits{}, orchestrator.WideUIDs)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrUnfit, err)
		}
		return version, err
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
	playKit(t, added.Name, tagged(added.Tag), filepath.Join(exampleDir, "conformance.txtar"))
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

// TestAddedJupyterImage adds an image that has a kernel for Jupyter and knows nothing of cubby: the packages of R.
func TestAddedJupyterImage(t *testing.T) {
	const name = "jupyter-test"
	engine := kitEngine(t, "add-test")
	wanted, err := PackagesTag("r")
	require.NoError(t, err)
	built, err := engine.ListImages(t.Context())
	require.NoError(t, err)
	at := slices.IndexFunc(built, func(image docker.BuiltImage) bool { return strings.HasPrefix(image.Tag, wanted) })
	require.GreaterOrEqual(t, at, 0, "make build && bin/cubby images build r")
	added, err := Add(t.Context(), adapter{engine}, AddOptions{
		Name: name, Image: built[at].Tag, BuildOptions: BuildOptions{Progress: t.Output(), Try: booting(engine)},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.RemoveImage(context.WithoutCancel(t.Context()), added.Tag)) })
	require.Regexp(t, `^4\.`, added.Version)

	contexts := kitManager(t, name, tagged(added.Tag))
	_, err = contexts.Create(t.Context(), orchestrator.CreateRequest{Language: name, Cwd: "/tmp"})
	require.ErrorIs(t, err, orchestrator.ErrInvalid, "nothing says how to tell it a directory")
	content, err := os.ReadFile(filepath.Join(conformanceDir, "r.txtar"))
	require.NoError(t, err)
	cases := readKit(t)
	fits, err := parseKitLanguage("r.txtar", string(content), cases)
	require.NoError(t, err)
	p := &player{contexts: contexts, language: name, patience: time.Minute, kitLanguage: fits}
	for _, c := range cases {
		if slices.Contains([]string{"state", "isolation", "interrupt", "death"}, c.name) {
			t.Run(c.name, func(t *testing.T) { require.Empty(t, p.play(t.Context(), c).problems) })
		}
	}
}
