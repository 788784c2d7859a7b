package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// environment returns a look-up in variables, with a home directory that is empty.
func environment(t *testing.T, variables map[string]string) func(string) string {
	t.Helper()
	home := t.TempDir()
	return func(name string) string {
		if value, ok := variables[name]; ok || name != "HOME" {
			return value
		}
		return home
	}
}

// load resolves a configuration from a file's text, variables and flags.
func load(t *testing.T, file string, variables map[string]string, flags ...string) (Config, *pflag.FlagSet, error) {
	t.Helper()
	var c Config
	env := environment(t, variables)
	settings := c.flags(env)
	if file != "" {
		path := filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		flags = append(flags, "--config="+path)
	}
	require.NoError(t, settings.Parse(flags))
	err := c.load(settings, env)
	return c, settings, err
}

func TestConfigPrecedence(t *testing.T) {
	const file = "max-contexts: 1\nlanguages: [python, bash]\n"
	variables := map[string]string{"CUBBY_MAX_CONTEXTS": "2", "CUBBY_LANGUAGES": "python,r"}

	t.Run("defaults", func(t *testing.T) {
		c, _, err := load(t, "", nil)
		require.NoError(t, err)
		require.Equal(t, 64, c.MaxContexts)
		require.Equal(t, "127.0.0.1:49999", c.Listen)
		require.Empty(t, c.Languages, "all of cubby's own")
		require.Equal(t, int64(1<<30), c.Limits().MemoryBytes)
		require.Zero(t, c.MaxOutput)
		require.Equal(t, byteSize(10<<30), c.Workspace)
		require.True(t, strings.HasSuffix(c.StateDir, "/.local/state/cubby"), c.StateDir)
	})
	t.Run("the file beats defaults", func(t *testing.T) {
		c, _, err := load(t, file, nil)
		require.NoError(t, err)
		require.Equal(t, 1, c.MaxContexts)
		require.Equal(t, []string{"python", "bash"}, c.Languages)
	})
	t.Run("the environment beats the file", func(t *testing.T) {
		c, _, err := load(t, file, variables)
		require.NoError(t, err)
		require.Equal(t, 2, c.MaxContexts)
		require.Equal(t, []string{"python", "r"}, c.Languages)
	})
	t.Run("flags beat the environment", func(t *testing.T) {
		c, _, err := load(t, file, variables, "--max-contexts=3", "--languages=java")
		require.NoError(t, err)
		require.Equal(t, 3, c.MaxContexts)
		require.Equal(t, []string{"java"}, c.Languages)
	})
	t.Run("an empty variable counts as not set", func(t *testing.T) {
		c, _, err := load(t, "", map[string]string{"CUBBY_LISTEN": ""})
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:49999", c.Listen)
	})
	t.Run("bounds can be taken away, and set", func(t *testing.T) {
		c, _, err := load(t, "", map[string]string{"CUBBY_WORKSPACE_BYTES": "0", "CUBBY_MAX_OUTPUT_BYTES": "1MiB"})
		require.NoError(t, err)
		require.Zero(t, c.Workspace)
		require.Equal(t, byteSize(1<<20), c.MaxOutput)
	})
	t.Run("a file in the user's directory is read unasked", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "cubby"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cubby", "config.yaml"), []byte("idle-timeout: 10m\n"), 0o600))
		c, _, err := load(t, "", map[string]string{"XDG_CONFIG_HOME": dir})
		require.NoError(t, err)
		require.Equal(t, 10*time.Minute, c.IdleTimeout)
	})
	t.Run("an empty file and an empty value change nothing", func(t *testing.T) {
		c, _, err := load(t, "# nothing\nmax-contexts:\n", nil)
		require.NoError(t, err)
		require.Equal(t, 64, c.MaxContexts)
	})
}

func TestConfigFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		file  string
		env   map[string]string
		flags []string
		want  []string
	}{
		"unknown key":                          {file: "max-kontexts: 1\n", want: []string{`config.yaml:1: "max-kontexts" is no setting`}},
		"a file in a file":                     {file: "config: x\n", want: []string{`"config" is no setting`}},
		"a key twice":                          {file: "pids: 64\npids: 65\n", want: []string{"already defined"}},
		"no YAML":                              {file: "{", want: []string{"config.yaml"}},
		"a list for a scalar":                  {file: "listen: [a]\n", want: []string{"listen: takes a value of type string"}},
		"a bad value of a file names its line": {file: "\npids: many\n", want: []string{"config.yaml:2:", "pids"}},
		"a bad variable":                       {env: map[string]string{"CUBBY_IDLE_TIMEOUT": "soon"}, want: []string{"CUBBY_IDLE_TIMEOUT:"}},
		"a missing named file":                 {flags: []string{"--config=/nonexistent/c.yaml"}, want: []string{"/nonexistent/c.yaml"}},
		"a missing file named by a variable": {
			env: map[string]string{"CUBBY_CONFIG": "/nonexistent/c.yaml"}, want: []string{"/nonexistent/c.yaml"},
		},
		"values of no sense, in our words": {
			file: "\nmax-contexts: few\n",
			env: map[string]string{
				"CUBBY_IDLE_TIMEOUT": "soon", "CUBBY_PIDS": "many", "CUBBY_CPUS": "some", "CUBBY_STRICT": "very",
				"CUBBY_LOG_LEVEL": "loud", "CUBBY_MEMORY": "much",
			},
			want: []string{
				`:2: max-contexts: "few" is no whole number`,
				"CUBBY_IDLE_TIMEOUT: \"soon\" is no duration such as 90s, 10m or 1h30m\n", "CUBBY_PIDS: \"many\" is no whole number\n",
				"CUBBY_CPUS: \"some\" is no number such as 0.5\n", "CUBBY_STRICT: \"very\" is neither true nor false",
				"CUBBY_LOG_LEVEL: \"loud\" is none of debug, info, warn, error\n", "CUBBY_MEMORY: \"much\" is no size such as 512MiB or 1GiB\n",
			},
		},
		"less than nothing": {
			env:  map[string]string{"CUBBY_MAX_OUTPUT_BYTES": "-1", "CUBBY_WORKSPACE_BYTES": "-1GiB"},
			want: []string{"CUBBY_MAX_OUTPUT_BYTES:", `"-1" is no size`, "CUBBY_WORKSPACE_BYTES:", `"-1GiB" is no size`},
		},
		"weak key":   {env: map[string]string{"CUBBY_API_KEY": "secret"}, want: []string{"api-key: 6 characters"}},
		"tiny limit": {flags: []string{"--memory=1m", "--pids=1", "--cpus=0.005"}, want: []string{"memory: 1MiB", "pids: 1 ", "cpus: 0.005 "}},
		"hello without a key": {
			flags: []string{"--hello", "--keys-file=x"}, want: []string{"hello: a keys file holds digests only"},
		},
		"all faults of all layers at once": {
			file: "nonsense: 1\n", env: map[string]string{"CUBBY_PIDS": "x"},
			flags: []string{"--network=all", "--url=ftp://x", "--listen=here", "--max-contexts=0", "--max-timeout=0s", "--idle-timeout=-1s"},
			want: []string{
				`"nonsense" is no setting`, "CUBBY_PIDS:", `network: "all"`, `url: "ftp://x"`, `listen: "here"`,
				"max-contexts: 0", "max-timeout: 0s", "idle-timeout: -1s",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, tt.file, tt.env, tt.flags...)
			require.Error(t, err)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	t.Run("a value of no sense is one fault", func(t *testing.T) {
		_, _, err := load(t, "", map[string]string{"CUBBY_PIDS": "many"})
		require.EqualError(t, err, "configuration:\nCUBBY_PIDS: \"many\" is no whole number")
	})
	t.Run("a file that holds a key is for its owner only", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(path, []byte("api-key: 0123456789abcdef\n"), 0o600))
		_, _, err := load(t, "", nil, "--config="+path)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(path, 0o640))
		_, _, err = load(t, "", nil, "--config="+path)
		require.ErrorContains(t, err, "chmod 600")
	})
}

func TestLogAttrsHideTheKey(t *testing.T) {
	c, settings, err := load(t, "", map[string]string{"CUBBY_API_KEY": "0123456789abcdef"})
	require.NoError(t, err)
	var text strings.Builder
	for _, attr := range c.LogAttrs(settings) {
		text.WriteString(attr.String() + "\n")
	}
	require.NotContains(t, text.String(), "0123456789abcdef")
	require.Contains(t, text.String(), "api-key=set\n")
	require.Contains(t, text.String(), "max-contexts=64\n")
}

// TestEverySettingIsDocumented: README.md names all settings, and no others.
func TestEverySettingIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(readme), "\n## Configuration\n")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "\n## ")
	var named, settings []string
	for _, match := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(text, -1) {
		named = append(named, match[1])
	}
	var c Config
	c.flags(environment(t, nil)).VisitAll(func(f *pflag.Flag) {
		require.NotEmpty(t, f.Usage, f.Name)
		if f.Name == "api-key" { // the one without a flag
			require.Contains(t, text, "`CUBBY_API_KEY`")
			return
		}
		settings = append(settings, f.Name)
	})
	slices.Sort(named)
	require.Equal(t, settings, slices.Compact(named))
}
