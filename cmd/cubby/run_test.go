package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(file, []byte("print from a file"), 0o600))
	for name, tt := range map[string]struct {
		args     []string
		stdin    string
		terminal bool
		out, err string
		code     int
	}{
		"output and results":      {args: []string{"-c", "print a\nset x 41\nget x"}, out: "a\n41\n"},
		"a file":                  {args: []string{file}, out: "from a file\n"},
		"stdin":                   {args: []string{"-"}, stdin: "print b", out: "b\n"},
		"no code at all":          {args: []string{"-c", ""}},
		"an alias of a language":  {args: []string{"-l", "py", "-c", "print c"}, out: "c\n"},
		"a directory":             {args: []string{"--cwd", "/tmp", "-c", "cwd"}, out: "/tmp\n"},
		"a variable":              {args: []string{"-e", "A=b=c", "-c", "env A"}, out: "b=c\n"},
		"an exception":            {args: []string{"-c", "get y"}, err: "NameError\nNameError: get y\n", code: exitFailed},
		"a kernel that dies":      {args: []string{"-c", "die"}, err: "cubby: the kernel died", code: exitFailed},
		"a missing directory":     {args: []string{"--cwd", "/missing", "-c", "cwd"}, err: "no such directory", code: exitFault},
		"a terminal is protected": {args: []string{"-c", "print \x1b[2J"}, terminal: true, out: "^[[2J\n"},
		"a terminal gets all with --raw": {
			args: []string{"--raw", "-c", "print \x1b[2J"}, terminal: true, out: "\x1b[2J\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCLI(t)
			c.stdin, c.terminal = tt.stdin, tt.terminal
			code, stdout, stderr := c.run(append([]string{"run"}, tt.args...)...)
			require.Equal(t, tt.out, stdout)
			require.Contains(t, stderr, tt.err)
			require.Equal(t, tt.code, code, stderr)
			left, err := c.engine.List(t.Context())
			require.NoError(t, err)
			require.Empty(t, left, "nothing stays behind")
		})
	}
	t.Run("a file's extension tells its language, unless somebody does", func(t *testing.T) {
		dir := t.TempDir()
		for name, tt := range map[string]struct {
			flags []string
			want  string
		}{
			"a.mjs": {want: "javascript"}, "a.R": {want: "r"}, "a.xruby": {want: "ruby"}, "a.txt": {want: "python"}, "a": {want: "python"},
			"a.ts": {flags: []string{"-l", "deno"}, want: "deno"}, "a.js": {flags: []string{"--language=python"}, want: "python"},
		} {
			c := newCLI(t)
			c.engine.built = []docker.BuiltImage{addedAs("ruby", "current", "2025", "ours")}
			file := filepath.Join(dir, name)
			require.NoError(t, os.WriteFile(file, []byte("print a"), 0o600))
			require.Equal(t, "a\n", c.ok(append([]string{"run", file}, tt.flags...)...))
			require.Equal(t, "sha256:cubby-"+tt.want+":current", c.engine.started[0].Image, name)
		}
	})
	t.Run("an image that is missing names the command that builds it", func(t *testing.T) {
		c := newCLI(t)
		c.engine.missing["cubby-python:current"] = true
		code, _, stderr := c.run("run", "-c", "1")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "cubby images build python")
	})
	t.Run("without an engine the remedy is said", func(t *testing.T) {
		c := newCLI(t)
		c.connected = orchestrator.ErrEngine
		code, _, stderr := c.run("run", "-c", "1")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "engine unavailable")
	})
	t.Run("what is no text is refused, and not changed", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "latin1.py")
		require.NoError(t, os.WriteFile(file, []byte("print \xe9"), 0o600))
		for _, args := range [][]string{{"run", file}, {"run", "-c", "print \xe9"}, {"run", "-e", "A=\xe9", "-c", ""}} {
			c := newCLI(t)
			code, _, stderr := c.run(args...)
			require.Equal(t, exitFault, code)
			require.Contains(t, stderr, "no UTF-8")
			require.Empty(t, c.engine.started)
		}
	})
	t.Run("limits and network are passed on", func(t *testing.T) {
		c := newCLI(t)
		c.engine.info.Security = []string{"name=rootless"}
		c.ok("run", "--memory=512m", "--cpus=0.5", "--pids=64", "--network=internet", "-c", "")
		require.Len(t, c.engine.started, 1)
		got := c.engine.started[0]
		require.Equal(t, orchestrator.Limits{MemoryBytes: 512 << 20, CPUs: 0.5, PIDs: 64, FileBytes: 8 << 30}, got.Limits)
		require.Equal(t, orchestrator.NetworkInternet, got.Network)
		require.Less(t, got.UID, 60000, "a rootless engine has few uids")
		require.Equal(t, orchestrator.Lease, got.Lease)
	})
	t.Run("a signal interrupts the code and its end is told", func(t *testing.T) {
		c := newCLI(t)
		p, stdout, stderr := c.process()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			<-c.engine.Waiting("g")
			cancel()
		}()
		code := run(ctx, p, []string{"run", "-c", "print a\ngate g"})
		require.Equal(t, exitFailed, code, stderr.String())
		require.Equal(t, "a\n", stdout.String())
		require.Contains(t, stderr.String(), "KeyboardInterrupt")
		require.Contains(t, stderr.String(), "cubby: execution was interrupted")
	})
}
