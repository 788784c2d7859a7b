package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

func builtImage(tag string, age time.Duration) docker.BuiltImage {
	return docker.BuiltImage{
		Image: orchestrator.Image{ID: "sha256:" + tag, Tag: tag}, SizeBytes: 603_000_000,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(-age),
	}
}

func TestImageTable(t *testing.T) {
	wanted := []currentTags{
		{"python", "cubby-python:new", "cubby-python-packages:new-", true},
		{"bash", "cubby-bash:new", "cubby-bash-packages:new-", true},
		{"python-slim", "cubby-python-slim:new", "cubby-python-slim-packages:new-", false},
	}
	listed := sortImages(wanted, []docker.BuiltImage{
		builtImage("cubby-python:new", time.Hour), builtImage("cubby-python:gone", 30*24*time.Hour),
		builtImage("cubby-python-packages:new-base", time.Hour), builtImage("cubby-python-packages:gone-base", 30*24*time.Hour),
		builtImage("cubby-base:trixie-1", time.Hour), builtImage("other:latest", time.Hour),
	})
	var text strings.Builder
	require.NoError(t, printTable(&text, imageRows(listed, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))))
	golden(t, "images.txt", text.String())
}

func TestImagesList(t *testing.T) {
	c := newCLI(t)
	packages, err := images.PackagesTag("python")
	require.NoError(t, err)
	c.engine.built = []docker.BuiltImage{builtImage("cubby-python:current", 0), builtImage(packages+"base", 0)}
	require.Regexp(t, `cubby-python:current +current`, c.ok("images", "ls"))
	require.Equal(t, 1, c.engine.listings, "one listing is of one moment")
	require.Regexp(t, packages+`base +current`, c.ok("images", "ls"))
	require.Contains(t, c.ok("images", "ls", "--json"), `"packages": true`)
}

func TestProxies(t *testing.T) {
	c := newCLI(t)
	c.variables["HTTP_PROXY"], c.variables["http_proxy"] = "http://upper", "http://lower"
	c.variables["HTTPS_PROXY"], c.variables["no_proxy"] = "http://secure", "localhost"
	p, _, _ := c.process()
	require.Equal(t, images.Proxies{HTTP: "http://lower", HTTPS: "http://secure", No: "localhost"}, (&app{process: p}).proxies())
}

func TestCheckImages(t *testing.T) {
	bash, python, r := orchestrator.Language{Name: "bash"}, orchestrator.Language{Name: "python"}, orchestrator.Language{Name: "r"}
	chosen := []choice{{bash, "bash"}, {python, "python-slim"}, {r, "r-lite"}}
	for name, tt := range map[string]struct {
		missing []string
		warning string
		wantErr bool
	}{
		"all there":              {},
		"another one is missing": {missing: []string{"bash"}, warning: `languages=bash remedy="cubby images build bash"`},
		"several are missing": {
			missing: []string{"bash", "r-lite"}, warning: `languages="bash, r" remedy="cubby images build bash r-lite"`,
		},
		"python is missing": {missing: []string{"python-slim"}, wantErr: true},
		"all are missing":   {missing: []string{"bash", "python-slim", "r-lite"}, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t)
			for _, language := range tt.missing {
				c.engine.missing["cubby-"+language+":current"] = true
			}
			p, _, stderr := c.process()
			a := &app{process: p}
			finder := a.languageImages(instanceEngine{c.engine, "test"}, "amd64", chosen)
			err := checkImages(t.Context(), finder, chosen, a.logger())
			if tt.wantErr {
				require.ErrorIs(t, err, orchestrator.ErrImageMissing)
				require.Empty(t, stderr.String())
				return
			}
			require.NoError(t, err)
			require.Contains(t, stderr.String(), tt.warning)
			require.Equal(t, min(len(tt.missing), 1), strings.Count(stderr.String(), "\n"), "one line for all")
		})
	}
}

func TestLanguageImagesKeepToWhatTheyFound(t *testing.T) {
	engine := &movingImages{tags: map[string]string{"cubby-python:current": "sha256:one"}, there: []string{"sha256:one", "sha256:two"}}
	c := newCLI(t)
	p, _, _ := c.process()
	chosen := []choice{{orchestrator.Language{Name: "python"}, "python"}}
	l := (&app{process: p}).languageImages(engine, "amd64", chosen)
	find := func() string {
		t.Helper()
		image, err := l.Image(t.Context(), "python")
		require.NoError(t, err)
		require.Equal(t, "cubby-python:current", image.Tag)
		return image.ID
	}
	require.Equal(t, "sha256:one", find())
	engine.tags["cubby-python:current"] = "sha256:two"
	require.Equal(t, "sha256:one", find(), "the tag was moved")
	engine.there = []string{"sha256:two"}
	require.Equal(t, "sha256:two", find(), "the image is gone")
	engine.there, engine.tags = nil, nil
	_, err := l.Image(t.Context(), "python")
	require.ErrorIs(t, err, orchestrator.ErrImageMissing)
	require.ErrorContains(t, err, "cubby images build python")
}

func TestContextsOfALanguageThatIsNotServedAnyMoreHaveItsImage(t *testing.T) {
	c := newCLI(t)
	p, _, _ := c.process()
	image, err := (&app{process: p}).languageImages(instanceEngine{c.engine, "test"}, "amd64", nil).Image(t.Context(), "python")
	require.NoError(t, err)
	require.Equal(t, "cubby-python:current", image.Tag)
}

// movingImages is an engine whose images come, go and change their tags.
type movingImages struct {
	instanceEngine
	tags  map[string]string // to digests
	there []string
}

func (e *movingImages) ImageID(_ context.Context, ref string) (orchestrator.Image, error) {
	if id, tagged := e.tags[ref]; tagged {
		return orchestrator.Image{ID: id, Tag: ref}, nil
	}
	if slices.Contains(e.there, ref) {
		return orchestrator.Image{ID: ref, Tag: ref}, nil
	}
	return orchestrator.Image{}, orchestrator.ErrImageMissing
}
