package main

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// buffer is a bytes.Buffer that a test reads while a program writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// cli runs command lines with the same surroundings.
type cli struct {
	t         *testing.T
	engine    *fakeEngine
	connected error // what connecting to the engine fails with
	variables map[string]string
	stdin     string
	terminal  bool
	real      bool // the engine of this machine

	statePatience, shutdownGrace time.Duration
}

// newCLI returns a cli whose every command line succeeds, if the server is there.
func newCLI(t *testing.T) *cli {
	t.Helper()
	home := t.TempDir()
	return &cli{t: t, engine: newFakeEngine(t), variables: map[string]string{
		"HOME": home, "CUBBY_DEFAULT_CONTEXTS": "none", // the tests count what they have made
	}}
}

// in returns the cli for a subtest. Variables and engine are shared.
func (c *cli) in(t *testing.T) *cli {
	t.Helper()
	other := *c
	other.t = t
	return &other
}

// environ returns the variables as NAME=VALUE.
func (c *cli) environ() []string {
	var all []string
	for name, value := range c.variables {
		all = append(all, name+"="+value)
	}
	return all
}

// process returns the surroundings, with outputs that can be read meanwhile.
func (c *cli) process() (process, *buffer, *buffer) {
	var stdout, stderr buffer
	p := process{
		stdin: strings.NewReader(c.stdin), stdout: &stdout, stderr: &stderr, stdoutTerminal: c.terminal, stderrTerminal: c.terminal,
		env:           func(name string) string { return c.variables[name] },
		environ:       c.environ(),
		statePatience: c.statePatience, shutdownGrace: c.shutdownGrace,
	}
	if c.real {
		return p, &stdout, &stderr
	}
	p.connect = func(_ context.Context, instance string, _ *slog.Logger) (engine, error) {
		if c.connected != nil {
			return nil, c.connected
		}
		return instanceEngine{c.engine, instance}, nil
	}
	p.supervisor = func(string) (string, error) { return "ours", nil }
	p.tag = func(language, _ string) (string, error) { return "cubby-" + language + ":current", nil }
	return p, &stdout, &stderr
}

// run carries out one command line.
func (c *cli) run(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	p, out, errs := c.process()
	code = run(ctx, p, args)
	return code, out.String(), errs.String()
}

// ok carries out a command line that succeeds, and returns its output.
func (c *cli) ok(args ...string) string {
	c.t.Helper()
	code, stdout, stderr := c.run(args...)
	require.Equal(c.t, exitOK, code, stderr)
	return stdout
}

func TestUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":              {[]string{"foo"}, `unknown command "foo"`},
		"an unknown command of a command": {[]string{"ctx", "foo"}, `unknown command "foo" for "cubby ctx"`},
		"an unknown flag":                 {[]string{"serve", "--lisen"}, "See 'cubby serve --help'"},
		"a number of no sense":            {[]string{"serve", "--max-contexts", "x"}, "cubby: --max-contexts: \"x\" is no whole number\nSee"},
		"a number out of range":           {[]string{"serve", "--max-contexts", strings.Repeat("9", 20)}, "9\" is out of range\nSee"},
		"a number below 0":                {[]string{"ctx", "follow", "a", "b", "--after", "-1"}, `cubby: --after: "-1" is no whole number from 0 on`},
		"a duration of no sense":          {[]string{"run", "-c", "1", "--timeout", "5"}, `cubby: --timeout: "5" is no duration such as`},
		"a flag of another command":       {[]string{"ctx", "ls", "--listen", "x"}, "unknown flag"},
		"a key on the command line":       {[]string{"serve", "--api-key", "x"}, "unknown flag"},
		"too few arguments":               {[]string{"ctx", "inspect"}, "usage: cubby ctx inspect ID"},
		"too many arguments":              {[]string{"version", "x"}, "usage: cubby version"},
		"no code":                         {[]string{"run"}, "name the code"},
		"code twice":                      {[]string{"run", "-c", "1", "file"}, "name the code"},
		"no such file":                    {[]string{"run", "/nonexistent/code.py"}, "/nonexistent/code.py"},
		"a bad variable":                  {[]string{"run", "-c", "1", "-e", "A"}, `"A" is not NAME=VALUE`},
		"a deadline of nearly nothing":    {[]string{"run", "-c", "1", "--timeout", "1us"}, "timeout: 1µs is less than a millisecond"},
		"a deadline of less than nothing": {[]string{"ctx", "exec", "x", "-c", "1", "--timeout", "-1s"}, "timeout: -1s is less"},
		"an unknown language":             {[]string{"run", "-c", "1", "-l", "cobol"}, `unknown language "cobol"`},
		"nothing to remove":               {[]string{"ctx", "rm"}, "name the contexts, or use --all"},
		"remove some and all":             {[]string{"ctx", "rm", "--all", "x"}, "name the contexts, or use --all"},
		"clean without a yes":             {[]string{"clean"}, "add --yes"},
		"no server":                       {[]string{"ctx", "ls", "--url", "http://127.0.0.1:1"}, "cubby serve"},
		"a bad configuration":             {[]string{"serve", "--listen", "x"}, `listen: "x"`},
		"a port without keys":             {[]string{"serve", "--listen", "0.0.0.0:0"}, "CUBBY_API_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t)
			code, stdout, stderr := c.run(tt.args...)
			require.Equal(t, exitFault, code)
			require.Contains(t, stderr, tt.want)
			require.Contains(t, stderr, "cubby: ")
			require.Empty(t, stdout)
			require.Empty(t, c.engine.cleaned)
		})
	}
	t.Run("every command has help, with an example where it takes code", func(t *testing.T) {
		c := newCLI(t)
		for _, args := range [][]string{
			{},
			{"serve"},
			{"ctx"},
			{"ctx", "create"},
			{"ctx", "ls"},
			{"ctx", "inspect"},
			{"ctx", "exec"},
			{"ctx", "follow"},
			{"ctx", "restart"},
			{"ctx", "interrupt"},
			{"ctx", "rm"},
			{"run"},
			{"images"},
			{"images", "build"},
			{"images", "add"},
			{"images", "ls"},
			{"images", "rm"},
			{"doctor"},
			{"clean"},
			{"version"},
		} {
			require.Contains(t, c.ok(append(args, "--help")...), "Usage:", args)
		}
		require.Contains(t, c.ok("run", "--help"), "Examples:")
	})
	t.Run("only commands that keep state want a home", func(t *testing.T) {
		c := newCLI(t)
		c.variables["HOME"] = ""
		require.Equal(t, "a\n", c.ok("run", "-c", "print a"))
		for _, command := range []string{"serve", "doctor"} {
			code, _, stderr := c.run(command)
			require.Equal(t, exitFault, code)
			require.Contains(t, stderr, "state-dir: there is no HOME")
		}
	})
	t.Run("variables that no setting has are told of", func(t *testing.T) {
		c := newCLI(t)
		c.variables["CUBBY_MAX_CONTEXT"], c.variables["CUBBY_FOO"], c.variables["CUBBYHOLE"] = "7", "x", "y"
		code, stdout, stderr := c.run("run", "-c", "print a")
		require.Equal(t, exitOK, code)
		require.Equal(t, "a\n", stdout)
		require.Contains(t, stderr, `variables="CUBBY_FOO, CUBBY_MAX_CONTEXT"`)
		require.Equal(t, 1, strings.Count(stderr, "\n"))
		delete(c.variables, "CUBBY_MAX_CONTEXT")
		delete(c.variables, "CUBBY_FOO")
		_, _, stderr = c.run("run", "-c", "print a")
		require.Empty(t, stderr)
	})
	t.Run("code that is too long", func(t *testing.T) {
		c := newCLI(t)
		c.stdin = strings.Repeat("#", orchestrator.MaxCode+1)
		code, _, stderr := c.run("run", "-")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "more than 4 MiB")
	})
}
