//go:build integration

package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator/docker"
)

// onDocker returns a cli on the engine of this machine, whose Python image is built.
func onDocker(t *testing.T) *cli {
	t.Helper()
	c := newCLI(t)
	c.variables["HOME"] = t.TempDir()
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"} {
		c.variables[name] = os.Getenv(name)
	}
	c.real = true
	t.Cleanup(func() { removeMade(t, c, filepath.Join(c.variables["HOME"], ".local", "state", "cubby")) })
	return c
}

// removeMade removes what a server with the state directory has made on the engine, its workspace included.
func removeMade(t *testing.T, c *cli, state string) {
	t.Helper()
	if e := engineOf(t, c, state); e != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		_, err := e.RemoveInstance(ctx)
		require.NoError(t, err)
	}
}

// engineOf returns the engine as the server of a state directory sees it, or nil if none ever ran.
func engineOf(t *testing.T, c *cli, state string) *docker.Engine {
	t.Helper()
	instance, err := os.ReadFile(filepath.Join(state, "instance"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	p, _, _ := c.process()
	e, err := (&app{process: p}).connectDocker(context.WithoutCancel(t.Context()), strings.TrimSpace(string(instance)), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e.(*docker.Engine)
}

func TestIntegrationRun(t *testing.T) {
	c := onDocker(t)
	t.Run("output, result and exit code", func(t *testing.T) {
		c := c.in(t)
		require.Equal(t, "hi\n42\n", c.ok("run", "-c", "print('hi')\n6 * 7"))
	})
	t.Run("an exception", func(t *testing.T) {
		c := c.in(t)
		code, stdout, stderr := c.run("run", "-c", "1 / 0")
		require.Equal(t, exitFailed, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "ZeroDivisionError: division by zero")
		require.NotContains(t, stderr, "\x1b")
	})
	t.Run("a deadline", func(t *testing.T) {
		c := c.in(t)
		code, _, stderr := c.run("run", "--timeout=1s", "-c", "import time; time.sleep(60)")
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "execution ran into its timeout")
	})
	t.Run("a file and a directory", func(t *testing.T) {
		c := c.in(t)
		file := filepath.Join(t.TempDir(), "code.py")
		require.NoError(t, os.WriteFile(file, []byte("import os; print(os.getcwd())"), 0o600))
		require.Equal(t, "/tmp\n", c.ok("run", "--cwd=/tmp", file))
	})
	t.Run("a signal", func(t *testing.T) {
		c := c.in(t)
		p, stdout, stderr := c.process()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, p, []string{"run", "-c", "print('on', flush=True)\nimport time; time.sleep(60)"})
		}()
		require.Eventually(t, func() bool { return stdout.String() != "" || len(ended) > 0 }, time.Minute, 10*time.Millisecond)
		cancel()
		require.Equal(t, exitFailed, <-ended, stderr.String())
		require.Contains(t, stderr.String(), "KeyboardInterrupt")
	})
}

func TestIntegrationServe(t *testing.T) {
	c := onDocker(t)
	first := c.serve("--hello")
	c.variables["CUBBY_URL"] = first.url
	require.Eventually(t, func() bool { return strings.Contains(first.output.String(), "42, says Python") }, time.Minute, 10*time.Millisecond)
	id := strings.TrimSpace(c.ok("ctx", "create", "--cwd", "/home/user/projects"))
	c.ok("ctx", "exec", id, "-c", "x = 41")
	require.Equal(t, exitOK, first.stop(), first.log.String())

	second := c.serve("--remove-on-exit")
	c.variables["CUBBY_URL"] = second.url
	require.Equal(t, "42\n", c.ok("ctx", "exec", id, "-c", "x + 1"))
	require.Equal(t, "/home/user/projects\n", c.ok("ctx", "exec", id, "-c", "import os; print(os.getcwd())"))
	c.ok("ctx", "restart", id)
	code, _, stderr := c.run("ctx", "exec", id, "-c", "x")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "name 'x' is not defined")
	require.Equal(t, exitOK, second.stop(), second.log.String())
}

func TestIntegrationDoctor(t *testing.T) {
	c := onDocker(t)
	stdout := c.ok("doctor")
	require.Contains(t, stdout, "ok    image        python")
}

func TestIntegrationAdd(t *testing.T) {
	c := onDocker(t)
	e := engineForTools(t, c)
	info, err := e.Info(t.Context())
	require.NoError(t, err)
	python, err := images.Tag("python", info.Architecture)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile":    "FROM " + python + "\n",
		"language.json": `{"name":"added-test","adapter":"native","argv":["/usr/bin/python3","-I","/opt/cubby/driver.py"]}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	require.Contains(t, c.ok("images", "add", "added-test", "--dockerfile", dir), "added added-test 3.")
	t.Cleanup(func() { _, _, _ = c.run("images", "rm", "added-test") })
	require.Contains(t, c.ok("images", "ls"), "current, added")
	require.Equal(t, "42\n", c.ok("run", "-l", "added-test", "-c", "6 * 7"))
	s := c.serve("--languages=python,added-test", "--remove-on-exit")
	c.variables["CUBBY_URL"] = s.url
	id := strings.TrimSpace(c.ok("ctx", "create", "--language=added-test"))
	code, _, stderr := c.run("images", "rm", "added-test")
	require.Equal(t, exitFault, code)
	require.Contains(t, stderr, "remove the contexts in added-test first")
	require.Equal(t, "42\n", c.ok("ctx", "exec", id, "-c", "6 * 7"))
	require.Equal(t, exitOK, s.stop(), s.log.String())
	c.ok("images", "rm", "added-test")
	require.NotContains(t, c.ok("images", "ls"), "added-test")
}

// engineForTools returns the engine as the commands without a state directory see it.
func engineForTools(t *testing.T, c *cli) engine {
	t.Helper()
	p, _, _ := c.process()
	e, err := (&app{process: p}).connectDocker(t.Context(), toolInstance, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}
