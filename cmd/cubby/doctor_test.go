package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/store"
)

func TestDoctor(t *testing.T) {
	healthy := func(t *testing.T) *cli {
		t.Helper()
		c := newCLI(t)
		c.engine.built = []docker.BuiltImage{builtImage("cubby-python:current", 0)}
		return c
	}
	for name, tt := range map[string]struct {
		change func(c *cli)
		args   []string
		want   []string
		code   int
	}{
		"all is well": {want: []string{"ok    engine       tcp://10.0.0.1:2376 (found by: DOCKER_HOST)", "runc 1.3.3", "ok    image        python: cubby-python:current, 603MB"}},
		"no engine": {
			change: func(c *cli) { c.connected = orchestrator.ErrEngine },
			want:   []string{"fail  engine", "engine unavailable"}, code: exitFailed,
		},
		"dropped limits": {
			change: func(c *cli) { c.engine.info.Dropped = []string{"swap", "pids"} },
			want:   []string{"warn  limits       the host does not enforce: swap, pids", "→ enable the controllers"},
		},
		"dropped limits in strict mode": {
			change: func(c *cli) { c.engine.info.Dropped = []string{"swap"} }, args: []string{"--strict"},
			want: []string{"fail  limits"}, code: exitFailed,
		},
		"a runtime that is not there": {
			args: []string{"--runtime=kata"}, want: []string{"fail  runtime", "→ add it to the engine's daemon.json"}, code: exitFailed,
		},
		"a runtime that engines do not list": {
			args: []string{"--runtime=io.containerd.kata.v2"}, want: []string{"ok    runtime      io.containerd.kata.v2"},
		},
		"a runtime that is": {args: []string{"--runtime=runsc"}, want: []string{"ok    runtime      runsc"}},
		"a missing image": {
			change: func(c *cli) { c.engine.built = nil },
			want:   []string{"fail  image        python: missing", "→ cubby images build python"}, code: exitFailed,
		},
		"an old image": {
			change: func(c *cli) { c.engine.built = []docker.BuiltImage{builtImage("cubby-python:old", 0)} },
			want:   []string{"fail  image        python: of another version", "→ cubby images build python"}, code: exitFailed,
		},
		"packages without an image": {
			change: func(c *cli) {
				packages, err := images.PackagesTag("python")
				require.NoError(t, err)
				c.engine.built = []docker.BuiltImage{builtImage(packages+"base", 0)}
			},
			want: []string{"fail  image        python: missing"}, code: exitFailed,
		},
		"an unknown language": {args: []string{"--languages=cobol"}, want: []string{"fail  images"}, code: exitFailed},
		"no cgroup version": {
			change: func(c *cli) { c.engine.info.CgroupVersion = "" }, want: []string{"warn  cgroup       version unknown"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := healthy(t)
			if tt.change != nil {
				tt.change(c)
			}
			code, stdout, stderr := c.run(append([]string{"doctor"}, tt.args...)...)
			for _, want := range tt.want {
				require.Contains(t, stdout, want)
			}
			require.Equal(t, tt.code, code, stdout)
			require.Empty(t, stderr)
		})
	}
	t.Run("as JSON", func(t *testing.T) {
		var checks []check
		require.NoError(t, json.Unmarshal([]byte(healthy(t).ok("doctor", "--json")), &checks))
		require.NotEmpty(t, checks)
		for _, c := range checks {
			require.Equal(t, c.Status == statusOK, c.Remedy == "", "%s: whatever is not well has a remedy", c.Name)
		}
	})
}

func TestCheckState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	require.Contains(t, checkState(dir).Text, "no server has run here yet")
	require.NoDirExists(t, dir, "looking makes nothing")
	s, err := store.Open(dir)
	require.NoError(t, err)
	require.Contains(t, checkState(dir).Text, "in use by a server")
	require.NoError(t, s.Close())
	require.Contains(t, checkState(dir).Text, "no server runs")
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".cubby*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestCheckStateThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "odd", "state.db"), 0o700))
	for name, tt := range map[string]struct{ dir, want string }{
		"a file":                  {file, file + " cannot be used: "},
		"below a file":            {filepath.Join(file, "x", "y"), "not a directory"},
		"where nobody can":        {"/dev/fd/x/y", "/dev/fd/x/y cannot be used: make a directory in /dev/fd: "},
		"a database of odd shape": {filepath.Join(dir, "odd"), "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			c := checkState(tt.dir)
			require.Equal(t, statusFail, c.Status)
			require.Contains(t, c.Text, tt.want)
			require.Contains(t, c.Remedy, "--state-dir")
		})
	}
}

func TestCheckDisk(t *testing.T) {
	dir := t.TempDir()
	there, err := freeDisk(dir)
	require.NoError(t, err)
	require.Positive(t, there)
	_, err = freeDisk(filepath.Join(dir, "not", "yet"))
	require.NoError(t, err, "the disk of a directory that will be")
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	c := checkDisk("disk", filepath.Join(file, "below"))
	require.Equal(t, statusWarn, c.Status)
	require.NotEmpty(t, c.Remedy)
}

func TestIsHere(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		host, root string
		want       bool
	}{
		"an engine of this machine":                {"unix:///var/run/docker.sock", dir, true},
		"one of a virtual machine behind a socket": {"unix:///run/user/1/docker.sock", filepath.Join(dir, "not"), false},
		"one of another machine":                   {"tcp://10.0.0.1:2376", dir, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, isHere(docker.Info{Endpoint: docker.Endpoint{Host: tt.host}, RootDir: tt.root}))
		})
	}
}

func TestPrintChecks(t *testing.T) {
	var text strings.Builder
	require.NoError(t, printChecks(&text, []check{
		{"engine", statusOK, "unix:///var/run/docker.sock", ""},
		{"image", statusFail, "python: missing", "cubby images build python"},
	}))
	golden(t, "doctor.txt", text.String())
}
