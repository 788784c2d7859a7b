package images

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// rubyFolder is a user's folder that can be added.
func rubyFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile": "ARG BASE\nFROM ${BASE}\n", "language.json": `{"name":"ruby","aliases":["rb"],"extensions":[".rb"]}`,
		"driver.rb": "driver\n", "gems/Gemfile": "gems\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

var someday = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// adding is a bench with options that succeed.
func adding(t *testing.T) (*bench, AddOptions) {
	t.Helper()
	b := newBench()
	b.options.Try = func(context.Context, string) (string, error) { return "3.3", nil }
	return b, AddOptions{Name: "ruby", Dir: rubyFolder(t)}
}

func TestAddFolder(t *testing.T) {
	t.Run("is built on the base, and the supervisor comes on top", func(t *testing.T) {
		b, o := adding(t)
		added, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.Equal(t, Added{Language: Language{Name: "ruby", Aliases: []string{"rb"}, Extensions: []string{".rb"}}, Tag: added.Tag, Version: "3.3"}, added)
		require.Regexp(t, `^cubby-ruby:[0-9a-f]{16}$`, added.Tag)
		require.Equal(t, []string{
			"pull debian:trixie-slim", "build cubby-ruby-packages on debian", pruneOwn, pruneStale,
			"build cubby-ruby on cubby-ruby-packages",
		}, b.engine.calls)
		require.Equal(t, []string{"Dockerfile", "gems/Gemfile"}, b.engine.packed[0])
		require.Equal(t, []string{
			"Dockerfile.driver", "cubby/driver.rb", "cubby/language.json", "etc/group", "etc/passwd", "supervisor",
		}, b.engine.packed[1])
		require.Equal(t, map[string]string{
			LabelLanguage: "ruby", LabelAliases: "rb", LabelExtensions: ".rb", LabelAdded: "2026-01-02T03:04:05.000000006Z",
			LabelSupervisor: digestOf([]byte("ELF")), LabelPackages: b.engine.builds[0].Tag,
		}, b.engine.builds[1].Labels)
	})
	t.Run("another driver leaves the packages as they are, and other packages are another image", func(t *testing.T) {
		b, o := adding(t)
		first, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		write(t, filepath.Join(o.Dir, "driver.rb"), "other\n")
		second, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.NotEqual(t, first.Tag, second.Tag)
		require.Len(t, b.engine.builds, 3)
		write(t, filepath.Join(o.Dir, "gems/Gemfile"), "other\n")
		third, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.NotEqual(t, second.Tag, third.Tag)
		require.Len(t, b.engine.builds, 5)
	})
	t.Run("certificates come to a Dockerfile that names them", func(t *testing.T) {
		for dockerfile, want := range map[string][]string{
			"FROM ruby:3\nCOPY . .\n":                    {"Dockerfile", "gems/Gemfile"},
			"FROM ruby:3\nCOPY my-ca.crt ca.crt.old .\n": {"Dockerfile", "gems/Gemfile"},
			"FROM ruby:3\nCOPY ca.crt /build/\n":         {"Dockerfile", "ca.crt", "gems/Gemfile"},
			"FROM ruby:3\nCOPY [\"./ca.crt\", \"/\"]\n":  {"Dockerfile", "ca.crt", "gems/Gemfile"},
		} {
			b, o := adding(t)
			write(t, filepath.Join(o.Dir, "Dockerfile"), dockerfile)
			_, err := b.add(t.Context(), o, someday)
			require.NoError(t, err)
			require.Equal(t, want, b.engine.packed[0], dockerfile)
		}
	})
	t.Run("the umask changes nothing", func(t *testing.T) {
		b, o := adding(t)
		require.NoError(t, os.Chmod(filepath.Join(o.Dir, "Dockerfile"), 0o755))
		first, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		for name, mode := range map[string]os.FileMode{"Dockerfile": 0o700, "driver.rb": 0o600, "gems/Gemfile": 0o600} {
			require.NoError(t, os.Chmod(filepath.Join(o.Dir, name), mode))
		}
		second, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.Equal(t, first.Tag, second.Tag)
		files, err := readFolder(o.Dir)
		require.NoError(t, err)
		modes := map[string]int64{}
		for _, f := range files {
			modes[f.name] = f.mode
		}
		require.Equal(t, map[string]int64{"Dockerfile": 0o755, "driver.rb": 0o644, "gems/Gemfile": 0o644, "language.json": 0o644}, modes)
	})
	t.Run("a Dockerfile with a base of its own needs none of ours", func(t *testing.T) {
		b, o := adding(t)
		write(t, filepath.Join(o.Dir, "Dockerfile"), "FROM ruby:3\n")
		_, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.Equal(t, "build cubby-ruby-packages on ", b.engine.calls[0])
		require.NotContains(t, b.engine.builds[0].Args, "BASE")
	})
	t.Run("one that does not boot is removed again", func(t *testing.T) {
		b, o := adding(t)
		b.options.Try = func(context.Context, string) (string, error) { return "", fmt.Errorf("%w: no such gem", ErrUnfit) }
		_, err := b.add(t.Context(), o, someday)
		require.ErrorIs(t, err, ErrUnfit)
		require.ErrorContains(t, err, "no such gem")
		require.Equal(t, "remove cubby-ruby", b.engine.calls[len(b.engine.calls)-1])
		require.NotContains(t, b.engine.images, b.engine.builds[1].Tag)
	})
	t.Run("one that could not be tried stays: it may have been in use", func(t *testing.T) {
		b, o := adding(t)
		before, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		b.options.Try = func(context.Context, string) (string, error) { return "", errDown }
		_, err = b.add(t.Context(), o, someday)
		require.ErrorIs(t, err, errDown)
		require.ErrorContains(t, err, before.Tag+" was built and stays")
		require.Contains(t, b.engine.images, before.Tag)
	})
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, o *AddOptions)
		want  string
	}{
		"no language.json":     {func(t *testing.T, o *AddOptions) { t.Helper(); remove(t, o.Dir, "language.json") }, " has no language.json"},
		"no Dockerfile":        {func(t *testing.T, o *AddOptions) { t.Helper(); remove(t, o.Dir, "Dockerfile") }, " has no Dockerfile"},
		"no folder":            {func(_ *testing.T, o *AddOptions) { o.Dir = "/nonexistent/ruby" }, "there is no folder /nonexistent/ruby"},
		"a file of a folder":   {func(_ *testing.T, o *AddOptions) { o.Dir += "/Dockerfile" }, "/Dockerfile is a file: name the folder"},
		"another name":         {func(t *testing.T, o *AddOptions) { t.Helper(); say(t, o, `{"name":"perl"}`) }, `"perl" and not "ruby"`},
		"no JSON":              {func(t *testing.T, o *AddOptions) { t.Helper(); say(t, o, `{`) }, "read the language.json of ruby"},
		"an alias of ours":     {func(t *testing.T, o *AddOptions) { t.Helper(); say(t, o, `{"name":"ruby","aliases":["py"]}`) }, `"py" is python`},
		"an alias of another":  {func(_ *testing.T, o *AddOptions) { o.Others = []Language{{Name: "rebol", Aliases: []string{"rb"}}} }, `"rb" is an alias of rebol`},
		"another as an alias":  {func(_ *testing.T, o *AddOptions) { o.Others = []Language{{Name: "rb"}} }, `"rb" is a language that was added`},
		"an alias of no shape": {func(t *testing.T, o *AddOptions) { t.Helper(); say(t, o, `{"name":"ruby","aliases":["r,b"]}`) }, `"r,b" cannot be`},
		"an extension of ours": {func(t *testing.T, o *AddOptions) { t.Helper(); say(t, o, `{"name":"ruby","extensions":[".rb",".py"]}`) }, "files .py are python"},
		"an extension of another": {
			func(_ *testing.T, o *AddOptions) { o.Others = []Language{{Name: "rebol", Extensions: []string{".rb"}}} }, "files .rb are rebol",
		},
		"an extension of no shape": {func(t *testing.T, o *AddOptions) { t.Helper(); say(t, o, `{"name":"ruby","extensions":["rb"]}`) }, `"rb" is none`},
		"certificates of its own": {
			func(t *testing.T, o *AddOptions) { t.Helper(); write(t, filepath.Join(o.Dir, "ca.crt"), "own") },
			"has a file ca.crt",
		},
		"a link": {func(t *testing.T, o *AddOptions) {
			t.Helper()
			require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(o.Dir, "link")))
		}, "link is neither a file nor a folder"},
	} {
		t.Run("refused before anything is built: "+name, func(t *testing.T) {
			b, o := adding(t)
			tt.spoil(t, &o)
			_, err := b.add(t.Context(), o, someday)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, b.engine.calls)
		})
	}
	t.Run("the same language may be added again", func(t *testing.T) {
		b, o := adding(t)
		o.Others = []Language{{Name: "ruby", Aliases: []string{"rb"}, Extensions: []string{".rb"}}}
		_, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
	})
	t.Run("a missing supervisor is noticed before anything is built", func(t *testing.T) {
		b, o := adding(t)
		delete(b.tree.drivers.(fstest.MapFS), "supervisor/supervisor-linux-amd64")
		_, err := b.add(t.Context(), o, someday)
		require.ErrorIs(t, err, ErrNoSupervisor)
		require.Empty(t, b.engine.calls)
	})
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	require.NoError(t, os.Remove(filepath.Join(dir, name)))
}

func say(t *testing.T, o *AddOptions, language string) {
	t.Helper()
	write(t, filepath.Join(o.Dir, "language.json"), language)
}

func TestAddNames(t *testing.T) {
	for name, want := range map[string]string{
		"": "cannot be", "Ruby": "cannot be", "a b": "cannot be", "-x": "cannot be", "../x": "cannot be", "x:1": "cannot be",
		"base": "cubby's own", "x-packages": "cubby's own", "python": "brings along", "py": "brings along", "rb": "alias of ruby",
	} {
		b := newBench()
		err := b.checkName(name, []Language{{Name: "ruby", Aliases: []string{"rb"}}})
		require.ErrorContains(t, err, want, name)
	}
	for _, name := range []string{"ruby", "r2", "common-lisp", "c_sharp"} {
		require.NoError(t, newBench().checkName(name, nil), name)
	}
}

func TestAddImage(t *testing.T) {
	spec := map[string][]byte{"julia-1.11/kernel.json": []byte(`{"language":"julia"}`), "julia-1.11/logo.png": nil}
	image := func(t *testing.T, files map[string]map[string][]byte) (*bench, AddOptions) {
		t.Helper()
		b, o := adding(t)
		b.engine.add("julia:1")
		b.engine.files = files
		o.Name, o.Dir, o.Image = "julia", "", "julia:1"
		return b, o
	}
	t.Run("its only kernel is taken", func(t *testing.T) {
		b, o := image(t, map[string]map[string][]byte{"/opt/conda/share/jupyter/kernels": spec})
		g, err := b.fromImage(t.Context(), o)
		require.NoError(t, err)
		require.JSONEq(t, `{"name":"julia","adapter":"jupyter","kernelspec":"julia-1.11"}`, string(g.language))
		added, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.Equal(t, []string{"build cubby-julia on julia"}, b.engine.calls)
		require.Equal(t, "julia", added.Name)
	})
	t.Run("of two of one name the first is taken, as the supervisor does", func(t *testing.T) {
		b, o := image(t, map[string]map[string][]byte{
			"/usr/local/share/jupyter/kernels": {"a/kernel.json": []byte(`{"language":"python"}`)},
			"/opt/conda/share/jupyter/kernels": {"a/kernel.json": []byte(`{"language":"julia"}`)},
		})
		name, language, err := b.findKernelspec(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "python"}, []string{name, language})
	})
	t.Run("a kernel of Python is told how to set directory and variables", func(t *testing.T) {
		b, o := image(t, map[string]map[string][]byte{"/usr/share/jupyter/kernels": {"python3/kernel.json": []byte(`{"language":"python"}`)}})
		g, err := b.fromImage(t.Context(), o)
		require.NoError(t, err)
		var language jupyterLanguage
		require.NoError(t, json.Unmarshal(g.language, &language))
		require.Equal(t, kernelCodes["python"], language.Code)
	})
	t.Run("its own language.json is taken", func(t *testing.T) {
		b, o := image(t, map[string]map[string][]byte{"/opt/cubby": {"language.json": []byte(`{"name":"julia","aliases":["jl"]}`)}})
		added, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.Equal(t, []string{"jl"}, added.Aliases)
	})
	t.Run("it is pulled where the engine does not have it", func(t *testing.T) {
		b, o := image(t, map[string]map[string][]byte{"/usr/share/jupyter/kernels": spec})
		o.Image = "registry/julia:2"
		_, err := b.add(t.Context(), o, someday)
		require.NoError(t, err)
		require.Equal(t, []string{"pull registry/julia:2", "build cubby-julia on registry/julia"}, b.engine.calls)
		b.engine.pull, o.Image = offline, "registry/julia:3"
		_, err = b.add(t.Context(), o, someday)
		require.ErrorIs(t, err, errDown)
		require.ErrorContains(t, err, "find the image registry/julia:3")
	})
	for name, tt := range map[string]struct {
		files map[string]map[string][]byte
		asked string
		want  string
	}{
		"no kernel": {nil, "", "julia:1 has neither /opt/cubby/language.json nor a kernel of Jupyter"},
		"several kernels": {
			map[string]map[string][]byte{"/usr/share/jupyter/kernels": {"a/kernel.json": nil, "b/kernel.json": nil}},
			"",
			"name one of a, b with --kernelspec",
		},
		"another kernel": {map[string]map[string][]byte{"/usr/share/jupyter/kernels": spec}, "ir", `has no kernel "ir": it has julia-1.11`},
		"another name":   {map[string]map[string][]byte{"/opt/cubby": {"language.json": []byte(`{"name":"perl"}`)}}, "", `"perl" and not "julia"`},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			b, o := image(t, tt.files)
			o.Kernelspec = tt.asked
			_, err := b.add(t.Context(), o, someday)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, b.engine.calls)
		})
	}
}

func TestExampleFitsTheKit(t *testing.T) {
	kit, err := os.ReadFile("testdata/conformance/kit.txtar")
	require.NoError(t, err)
	cases, err := parseKit("kit.txtar", string(kit))
	require.NoError(t, err)
	snippets, err := os.ReadFile("examples/ruby/conformance.txtar")
	require.NoError(t, err)
	fits, err := parseKitLanguage("conformance.txtar", string(snippets), cases)
	require.NoError(t, err)
	require.Empty(t, fits.exceptions)
}
