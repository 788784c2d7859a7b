package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// addedAs is an image as cubby images add makes it.
func addedAs(language, tag, when, supervisor string) docker.BuiltImage {
	image := builtImage("cubby-"+language+":"+tag, 0)
	image.Labels = map[string]string{
		images.LabelLanguage: language, images.LabelAliases: language[:1] + ",x" + language, images.LabelAdded: when,
		images.LabelExtensions: ".x" + language,
		images.LabelSupervisor: supervisor, images.LabelPackages: "cubby-" + language + "-packages:" + tag,
	}
	return image
}

func (c *cli) catalog() catalog {
	c.t.Helper()
	p, _, _ := c.process()
	there, err := (&app{process: p}).catalog(c.t.Context(), instanceEngine{c.engine, "test"}, "amd64")
	require.NoError(c.t, err)
	return there
}

func TestCatalog(t *testing.T) {
	c := newCLI(t)
	inherited := addedAs("ruby", "1", "2026", "ours")
	inherited.Tag = "somebody/elses:1"
	c.engine.built = []docker.BuiltImage{
		builtImage("cubby-python:current", 0), inherited, addedAs("python", "1", "2026", "ours"),
		addedAs("ruby", "early", "2025-01", "ours"), addedAs("ruby", "late", "2025-03", "ours"), addedAs("ruby", "foreign", "2025-04", "theirs"),
		addedAs("perl", "foreign", "2025-02", "theirs"),
	}
	there := c.catalog()
	require.Equal(t, "cubby-ruby:late", there.current("ruby").Tag, "the latest that has our supervisor")
	require.Nil(t, there.current("perl"))
	require.Nil(t, there.current("python"), "a language of ours is not to be replaced")
	require.Equal(t, []orchestrator.Language{
		{Name: "ruby", Aliases: []string{"r", "xruby"}, Extensions: []string{".xruby"}},
		{Name: "perl", Aliases: []string{"p", "xperl"}, Extensions: []string{".xperl"}},
	}, there.others())
	for file, want := range map[string]string{
		"a.py": "python", "dir.js/A.MJS": "javascript", "a.ts": "typescript", "a.R": "r", "a.xruby": "ruby",
		"py": "", "a.": "", "a.txt": "", "": "", "-": "",
	} {
		require.Equal(t, want, there.languageOf(file), file)
	}
}

func TestChoose(t *testing.T) {
	c := newCLI(t)
	c.engine.built = []docker.BuiltImage{addedAs("ruby", "1", "2025-01", "ours")}
	there := c.catalog()
	there.own = []orchestrator.Language{{Name: "other"}, {Name: "python", Aliases: []string{"py"}}}
	for name, tt := range map[string]struct {
		names []string
		want  []string // language=image
	}{
		"none means all of ours":    {nil, []string{"other=other", "python=python"}},
		"names and aliases, once":   {[]string{"py", "Python", "xruby"}, []string{"python=python", "ruby="}},
		"an image of the language":  {[]string{"py=python"}, []string{"python=python"}},
		"the same image named once": {[]string{"python", "python=python", "python=PY"}, []string{"python=python"}},
		"an image in any case":      {[]string{"python=Python-Slim"}, []string{"python=python-slim"}},
	} {
		t.Run(name, func(t *testing.T) {
			chosen, err := there.choose(tt.names)
			require.NoError(t, err)
			var got []string
			for _, c := range chosen {
				got = append(got, c.Name+"="+c.image)
			}
			require.Equal(t, tt.want, got)
		})
	}
	for name, tt := range map[string]struct {
		names []string
		want  string
	}{
		"an unknown language":           {[]string{"cobol"}, "cubby images add"},
		"an unknown image":              {[]string{"python=cobol"}, "unknown language"},
		"an image of another language":  {[]string{"other=python"}, "image python is of python and not of other"},
		"two images of a language":      {[]string{"python", "python=python-x"}, "python-x"},
		"an image of an added language": {[]string{"ruby=python"}, "without =python"},
		"nothing":                       {[]string{""}, "unknown language"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			_, err := there.choose(tt.names)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestAddedLanguages(t *testing.T) {
	// with returns a cli on an engine that has Python and these images.
	with := func(t *testing.T, built ...docker.BuiltImage) *cli {
		t.Helper()
		c := newCLI(t)
		c.engine.built = append([]docker.BuiltImage{builtImage("cubby-python:current", 0)}, built...)
		return c
	}
	t.Run("run, and serve beside ours", func(t *testing.T) {
		c := with(t, addedAs("ruby", "1", "2025", "ours"))
		require.Equal(t, "a\n", c.ok("run", "-l", "xruby", "-c", "print a"))
		require.Equal(t, "sha256:cubby-ruby:1", c.engine.started[0].Image)
		s := c.serve("--languages=python,ruby")
		c.variables["CUBBY_URL"] = s.url
		c.ok("ctx", "create", "--language", "r")
		require.Equal(t, exitOK, s.stop(), s.log.String())
	})
	t.Run("one with another supervisor is told of at start, at create and by doctor", func(t *testing.T) {
		const remedy = "add it again: cubby images add ruby …"
		c := with(t, addedAs("ruby", "1", "2025", "theirs"))
		s := c.serve("--languages=python,ruby")
		require.Contains(t, s.log.String(), remedy)
		c.variables["CUBBY_URL"] = s.url
		code, _, stderr := c.run("ctx", "create", "--language", "ruby")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "cubby-ruby:1 holds the supervisor of another version of cubby; "+remedy)
		c.ok("ctx", "create")
		require.Equal(t, exitOK, s.stop())
		stdout := c.ok("doctor", "--languages=python,ruby")
		require.Contains(t, stdout, "warn  image        ruby: of another version of cubby")
		require.Contains(t, stdout, "→ "+remedy)
	})
	t.Run("one that is removed while the server runs is told of at create", func(t *testing.T) {
		c := with(t, addedAs("ruby", "1", "2025", "ours"))
		s := c.serve("--languages=python,ruby")
		c.variables["CUBBY_URL"] = s.url
		c.ok("images", "rm", "ruby")
		c.engine.missing["sha256:cubby-ruby:1"] = true
		code, _, stderr := c.run("ctx", "create", "--language", "ruby")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "the engine has no image of ruby any more; add it again: cubby images add ruby …")
		c.ok("ctx", "create")
		require.Equal(t, exitOK, s.stop())
	})
	t.Run("one that a server is to have and that is not there is refused at start", func(t *testing.T) {
		code, _, stderr := with(t).run("serve", "--listen=127.0.0.1:0", "--languages=python,ruby")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, `unknown language "ruby"`)
		require.Contains(t, stderr, "cubby images add")
	})
	t.Run("are listed", func(t *testing.T) {
		c := with(t, addedAs("ruby", "1", "2025", "ours"), addedAs("ruby", "2", "2026", "theirs"), builtImage("cubby-ruby-packages:1", 0))
		stdout := c.ok("images", "ls")
		require.Regexp(t, `ruby +cubby-ruby:1 +current, added`, stdout)
		require.Regexp(t, `ruby +cubby-ruby:2 +old, added`, stdout)
		require.Regexp(t, `ruby +cubby-ruby-packages:1 +current, added`, stdout)
		require.Contains(t, c.ok("images", "ls", "--json"), `"added": true`)
	})
}
