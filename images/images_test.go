package images

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// sample is a tree with two languages and the supervisor for amd64 only.
func sample() tree {
	return tree{
		packages: fstest.MapFS{
			"bash/Dockerfile":                  {Data: []byte("FROM base\n")},
			"python/Dockerfile":                {Data: []byte("FROM base\n")},
			"python/packages/requirements.txt": {Data: []byte("ipython\n")},
		},
		drivers: fstest.MapFS{
			"bash/Dockerfile.driver":            {Data: []byte("FROM packages\n")},
			"bash/language.json":                {Data: []byte(`{"name":"bash","aliases":["sh"]}`)},
			"python/Dockerfile.driver":          {Data: []byte("FROM packages\n")},
			"python/driver.py":                  {Data: []byte("pass\n")},
			"python/language.json":              {Data: []byte(`{"name":"python","aliases":["py"],"extensions":[".py"],"adapter":"native"}`)},
			"supervisor/.gitkeep":               {},
			"supervisor/supervisor-linux-amd64": {Data: []byte("ELF")},
		},
	}
}

// change returns the sample with one file changed, which the packages or what comes on top are made of.
func change(name, content string) tree {
	t := sample()
	changed := t.drivers.(fstest.MapFS)
	if _, ok := t.packages.(fstest.MapFS)[name]; ok {
		changed = t.packages.(fstest.MapFS)
	}
	changed[name] = &fstest.MapFile{Data: []byte(content)}
	return t
}

func TestLanguages(t *testing.T) {
	t.Run("are sorted by name", func(t *testing.T) {
		got, err := sample().languages()
		require.NoError(t, err)
		require.Equal(t, []Language{{Name: "bash", Aliases: []string{"sh"}}, {Name: "python", Aliases: []string{"py"}, Extensions: []string{".py"}}}, got)
	})
	t.Run("a name that is not the folder's is refused", func(t *testing.T) {
		_, err := change("bash/language.json", `{"name":"zsh"}`).languages()
		require.ErrorContains(t, err, `bash/language.json: the language is "zsh"`)
	})
	t.Run("a folder beside that of its language is another image of it", func(t *testing.T) {
		got, err := change("python-slim/language.json", `{"name":"python","aliases":["py"]}`).languages()
		require.NoError(t, err)
		require.Len(t, got, 2)
	})
	t.Run("broken JSON is refused", func(t *testing.T) {
		_, err := change("bash/language.json", `{`).languages()
		require.ErrorContains(t, err, "read bash/language.json")
	})
}

func TestLookup(t *testing.T) {
	for asked, want := range map[string]string{"python": "python", "py": "python", "Python": "python", "SH": "bash"} {
		got, err := sample().lookup(asked)
		require.NoError(t, err, asked)
		require.Equal(t, want, got.Name)
	}
	for _, asked := range []string{"", "supervisor", "cobol", "../python"} {
		_, err := sample().lookup(asked)
		require.ErrorIs(t, err, ErrUnknownLanguage, asked)
		require.ErrorContains(t, err, "none of bash, python")
	}
}

func TestTag(t *testing.T) {
	fresh, err := sample().tag("python", "amd64")
	require.NoError(t, err)
	require.Regexp(t, `^cubby-python:[0-9a-f]{16}$`, fresh)

	t.Run("is the same for an alias and for the kernel's name of the architecture", func(t *testing.T) {
		got, err := sample().tag("py", "x86_64")
		require.NoError(t, err)
		require.Equal(t, fresh, got)
	})
	t.Run("changes with every file of the language and with the supervisor", func(t *testing.T) {
		for _, name := range []string{
			"python/driver.py", "python/Dockerfile", "python/Dockerfile.driver", "python/packages/requirements.txt", "python/new.py",
			"supervisor/supervisor-linux-amd64",
		} {
			got, err := change(name, "other").tag("python", "amd64")
			require.NoError(t, err)
			require.NotEqual(t, fresh, got, name)
		}
	})
	t.Run("does not change with another language", func(t *testing.T) {
		got, err := change("bash/Dockerfile", "other").tag("python", "amd64")
		require.NoError(t, err)
		require.Equal(t, fresh, got)
	})
	t.Run("a binary without the supervisor says how to get one with it", func(t *testing.T) {
		_, err := sample().tag("python", "arm64")
		require.ErrorIs(t, err, ErrNoSupervisor)
		require.ErrorContains(t, err, "make build")
	})
	t.Run("an architecture without a supervisor is refused", func(t *testing.T) {
		_, err := sample().tag("python", "riscv64")
		require.ErrorIs(t, err, ErrNoSupervisor)
		require.ErrorContains(t, err, "riscv64")
	})
}

func TestSharedFolders(t *testing.T) {
	shared := change("bash/language.json", `{"name":"bash","packages":"python","driver":"python"}`)
	tag, err := shared.tag("bash", "amd64")
	require.NoError(t, err)
	require.Regexp(t, `^cubby-bash:[0-9a-f]{16}$`, tag)
	packages, err := shared.packagesTag("bash")
	require.NoError(t, err)
	theirs, err := shared.packagesTag("python")
	require.NoError(t, err)
	require.Equal(t, theirs, packages)
	f, err := shared.folder("bash")
	require.NoError(t, err)
	files, err := shared.driver(f, "amd64")
	require.NoError(t, err)
	contents := map[string]string{}
	for _, file := range files {
		contents[file.name] = string(file.content)
	}
	require.JSONEq(t, `{"name":"bash","packages":"python","driver":"python"}`, contents["language.json"])
	require.Equal(t, "pass\n", contents["driver.py"])
}

func TestPackagesTag(t *testing.T) {
	fresh, err := sample().packagesTag("py")
	require.NoError(t, err)
	require.Regexp(t, `^cubby-python-packages:[0-9a-f]{16}-$`, fresh)
	for name, changes := range map[string]bool{
		"python/Dockerfile": true, "python/packages/requirements.txt": true,
		"python/driver.py": false, "python/Dockerfile.driver": false, "supervisor/supervisor-linux-amd64": false, "bash/Dockerfile": false,
	} {
		got, err := change(name, "other").packagesTag("python")
		require.NoError(t, err)
		require.Equal(t, changes, got != fresh, name)
	}
	_, err = sample().packagesTag("cobol")
	require.ErrorIs(t, err, ErrUnknownLanguage)
}

func TestBuildContext(t *testing.T) {
	python, err := sample().folder("python")
	require.NoError(t, err)
	files, err := sample().driver(python, "amd64")
	require.NoError(t, err)
	archive, err := buildContext(files)
	require.NoError(t, err)

	type entry struct {
		mode    int64
		content string
	}
	got := map[string]entry{}
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		got[header.Name] = entry{header.Mode, string(content)}
	}
	require.Equal(t, map[string]entry{
		"Dockerfile.driver": {0o644, "FROM packages\n"},
		"driver.py":         {0o644, "pass\n"},
		"language.json":     {0o644, `{"name":"python","aliases":["py"],"extensions":[".py"],"adapter":"native"}`},
		"supervisor":        {0o755, "ELF"},
	}, got)
}

func TestEmbedded(t *testing.T) {
	languages, err := Languages()
	require.NoError(t, err)
	require.NotEmpty(t, languages)
	owners := map[string]string{}
	for _, language := range languages {
		found, err := Lookup(language.Name)
		require.NoError(t, err)
		require.Equal(t, language, found)
		for _, extension := range language.Extensions {
			require.Regexp(t, extensionShape, extension)
			require.Empty(t, owners[extension], "%s is %s", extension, language.Name)
			owners[extension] = language.Name
		}
	}
	for extension, want := range map[string]string{
		".py": "python", ".js": "javascript", ".mjs": "javascript", ".ts": "typescript", ".sh": "bash", ".r": "r", ".java": "java",
	} {
		require.Equal(t, want, owners[extension], extension)
	}
}

// TestDockerfiles: the certificates are seen by stages that are found by their label, and not by the image itself.
func TestDockerfiles(t *testing.T) {
	names, err := fs.Glob(embedded.packages, "*/Dockerfile")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		dockerfile, err := fs.ReadFile(embedded.packages, name)
		require.NoError(t, err)
		stages := strings.Split(string(dockerfile), "\nFROM ")[1:]
		for i, stage := range stages {
			if _, instructions, _ := strings.Cut(stage, "\n"); i < len(stages)-1 {
				require.True(t, strings.HasPrefix(instructions, "ARG STAGE\nLABEL "+StageLabel+"=$STAGE\n"), name)
			} else {
				require.NotContains(t, instructions, "ca.crt", name)
				require.NotContains(t, instructions, "--from=packages / ", name)
				require.Contains(t, instructions, "LABEL cubby.image=unfinished\n", name)
			}
		}
	}
}

func TestDigestCoversAllOfAFile(t *testing.T) {
	one := file{name: "a", mode: 0o644, content: []byte("x")}
	seen := map[string]file{}
	for _, f := range []file{
		one,
		{name: "b", mode: 0o644, content: one.content},
		{name: "a", mode: 0o755, content: one.content},
		{name: "a", mode: 0o644, content: []byte("y")},
		{name: "a", mode: 0o644, link: "x"},
		{name: "a", mode: 0o644, link: "y"},
	} {
		sum := digest([]file{f})
		require.NotContains(t, seen, sum, "%+v", f)
		seen[sum] = f
	}
	other := file{name: "c"}
	require.Equal(t, digest([]file{one, other}), digest([]file{other, one}))
}
