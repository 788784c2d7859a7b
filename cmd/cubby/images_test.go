package main

import (
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
		{"python", "cubby-python:new", "cubby-python-packages:new-"}, {"bash", "cubby-bash:new", "cubby-bash-packages:new-"},
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
	chosen := []orchestrator.Language{{Name: "bash"}, {Name: "python"}}
	for name, tt := range map[string]struct {
		missing []string
		wantErr bool
	}{
		"all there":              {},
		"another one is missing": {missing: []string{"bash"}},
		"python is missing":      {missing: []string{"python"}, wantErr: true},
		"all are missing":        {missing: []string{"bash", "python"}, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t)
			for _, language := range tt.missing {
				c.engine.missing["cubby-"+language+":current"] = true
			}
			p, _, stderr := c.process()
			a := &app{process: p}
			err := checkImages(t.Context(), languageImages{instanceEngine{c.engine, "test"}, "amd64", p.tag}, chosen, a.logger())
			if tt.wantErr {
				require.ErrorIs(t, err, orchestrator.ErrImageMissing)
				return
			}
			require.NoError(t, err)
			for _, language := range tt.missing {
				require.Contains(t, stderr.String(), "cubby images build "+language)
			}
		})
	}
}
