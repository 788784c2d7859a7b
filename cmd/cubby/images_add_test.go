package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/enginetest"
)

// folder makes a folder that can be added, if the binary carries a supervisor.
func folder(t *testing.T) string {
	t.Helper()
	if _, err := images.SupervisorDigest("amd64"); err != nil {
		t.Skip("needs make build: ", err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile": "FROM ruby:3\n", "language.json": `{"name":"ruby","aliases":["rb"]}`, "driver.rb": "driver\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

func TestImagesAdd(t *testing.T) {
	t.Run("builds, boots, and says how to use it", func(t *testing.T) {
		c := newCLI(t)
		stdout := c.ok("images", "add", "ruby", "--dockerfile", folder(t))
		require.Contains(t, stdout, "added ruby 1.0 as cubby-ruby:")
		require.Contains(t, stdout, ",ruby\n")
		require.Len(t, c.engine.buildings, 1, "the packages are there")
		require.Len(t, c.engine.started, 1)
		left, err := c.engine.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, left)
	})
	t.Run("takes the place of what no container uses and no other cubby made", func(t *testing.T) {
		c := newCLI(t)
		c.engine.built = []docker.BuiltImage{
			addedAs("ruby", "before", "2024", "ours"), addedAs("ruby", "used", "2025", "ours"), addedAs("ruby", "foreign", "2025", "theirs"),
		}
		c.engine.inUse = map[string]bool{"cubby-ruby:used": true}
		c.ok("images", "add", "ruby", "--dockerfile", folder(t))
		require.Equal(t, []string{"image cubby-ruby:before"}, withoutStages(c.engine.cleaned))
	})
	t.Run("one that does not boot is not kept", func(t *testing.T) {
		c := newCLI(t)
		c.engine.Hook(enginetest.Hooks{Boot: func(string) error { return errors.New("no such gem") }})
		code, _, stderr := c.run("images", "add", "ruby", "--dockerfile", folder(t))
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "kernel did not boot")
		require.Contains(t, stderr, "no such gem")
		require.Empty(t, c.catalog().added)
	})
	t.Run("one that could not be tried is kept, and so are those before", func(t *testing.T) {
		for name, hooks := range map[string]enginetest.Hooks{
			"start":  {Start: func() error { return orchestrator.ErrEngine }},
			"remove": {Remove: func() error { return orchestrator.ErrEngine }},
		} {
			c := newCLI(t)
			c.engine.built = []docker.BuiltImage{addedAs("ruby", "before", "2024", "ours")}
			c.engine.Hook(hooks)
			code, _, stderr := c.run("images", "add", "ruby", "--dockerfile", folder(t))
			require.Equal(t, exitFault, code, name)
			require.Contains(t, stderr, "could not be tried", name)
			require.Len(t, c.catalog().added, 2, name)
		}
	})
	t.Run("an image that contexts cannot have is not kept", func(t *testing.T) {
		c := newCLI(t)
		c.engine.Hook(enginetest.Hooks{Start: func() error { return orchestrator.ErrInvalid }})
		code, _, stderr := c.run("images", "add", "ruby", "--dockerfile", folder(t))
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "is removed again")
		require.Empty(t, c.catalog().added)
	})
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no origin":          {[]string{"ruby"}, "either --dockerfile or --image"},
		"two origins":        {[]string{"ruby", "--dockerfile=x", "--image=x"}, "either --dockerfile or --image"},
		"a name of ours":     {[]string{"py", "--dockerfile=x"}, `"py" is python`},
		"a kernel of a file": {[]string{"ruby", "--dockerfile=x", "--kernelspec=x"}, "dockerfile kernelspec"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			c := newCLI(t)
			code, _, stderr := c.run(append([]string{"images", "add"}, tt.args...)...)
			require.Equal(t, exitFault, code)
			require.Contains(t, stderr, tt.want)
			require.Empty(t, c.engine.buildings)
		})
	}
}

// withoutStages returns what was removed beside the stages of builds.
func withoutStages(cleaned []string) []string {
	var rest []string
	for _, what := range cleaned {
		if len(what) < 6 || what[:6] != "stages" {
			rest = append(rest, what)
		}
	}
	return rest
}

func TestImagesRemove(t *testing.T) {
	stock := func(t *testing.T) *cli {
		t.Helper()
		c := newCLI(t)
		c.engine.built = []docker.BuiltImage{
			addedAs("ruby", "1", "2025", "ours"), addedAs("ruby", "2", "2025", "theirs"), builtImage("cubby-ruby-packages:1", 0),
			addedAs("perl", "1", "2025", "ours"), builtImage("cubby-python:current", 0),
		}
		return c
	}
	t.Run("all images of the language go, whichever cubby made them", func(t *testing.T) {
		c := stock(t)
		require.Contains(t, c.ok("images", "rm", "ruby"), "removed cubby-ruby-packages:1\n")
		require.ElementsMatch(t, []string{"image cubby-ruby:1", "image cubby-ruby:2", "image cubby-ruby-packages:1"}, c.engine.cleaned)
	})
	t.Run("one with contexts stays", func(t *testing.T) {
		c := stock(t)
		c.engine.inUse = map[string]bool{"cubby-ruby:1": true, "cubby-ruby:2": true}
		code, _, stderr := c.run("images", "rm", "ruby")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "remove the contexts in ruby first")
		require.Empty(t, c.engine.cleaned)
	})
	t.Run("of a language that cubby has come to bring along only what was added goes", func(t *testing.T) {
		c := stock(t)
		c.engine.built = append(c.engine.built, addedAs("python", "1", "2025", "ours"), builtImage("cubby-python-packages:1", 0))
		require.Equal(t, "removed cubby-python:1\n", c.ok("images", "rm", "python"))
		require.Equal(t, []string{"image cubby-python:1"}, c.engine.cleaned)
	})
	for name, want := range map[string]string{
		"python": "of cubby's own", "py": "of cubby's own", "cobol": "was not added", "": "was not added",
	} {
		code, _, stderr := stock(t).run("images", "rm", name)
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, want)
	}
}
