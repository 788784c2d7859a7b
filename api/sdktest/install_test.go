//go:build integration

package sdktest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// debugMode is the environment of a program that uses an SDK. A proxy is for the road to the registries only.
func debugMode(url string) []string {
	env := environment("E2B_", "HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=")
	return append(env, "E2B_DEBUG=true", "E2B_SANDBOX_URL="+url, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
}

// javaScript returns a directory with the JavaScript SDK and the files of js: a module is looked for beside who imports it.
func javaScript(t *testing.T) string {
	t.Helper()
	installed := installed(t, "js", []string{"js/package.json", "js/package-lock.json"}, func(dir string) {
		for _, name := range []string{"package.json", "package-lock.json"} {
			copyFile(t, filepath.Join("js", name), filepath.Join(dir, name))
		}
		install(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(installed, "node_modules"), filepath.Join(dir, "node_modules")))
	files, err := filepath.Glob("js/*.mjs")
	require.NoError(t, err)
	for _, file := range files {
		copyFile(t, file, filepath.Join(dir, filepath.Base(file)))
	}
	return dir
}

// python returns an interpreter with the Python SDK.
func python(t *testing.T) string {
	t.Helper()
	requirements, err := filepath.Abs("python/requirements.txt")
	require.NoError(t, err)
	dir := installed(t, "python", []string{requirements}, func(dir string) {
		install(t, dir, modernPython(t), "-m", "venv", dir)
		install(t, dir, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet",
			"--require-hashes", "--only-binary=:all:", "--requirement", requirements)
	})
	return filepath.Join(dir, "bin", "python")
}

// modernPython returns a Python that the SDK supports.
func modernPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "python3.14", "python3.13", "python3.12", "python3.11"} {
		if exec.CommandContext(t.Context(), name, "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))").Run() == nil {
			return name
		}
	}
	t.Fatal("the Python SDK needs Python 3.11 or newer with venv; install it, on Debian: apt-get install python3 python3-venv")
	return ""
}

// installed returns a directory of the cache that fill has filled, now or earlier, from the same lock files.
func installed(t *testing.T, name string, locks []string, fill func(dir string)) string {
	t.Helper()
	digest := sha256.New()
	for _, lock := range locks {
		content, err := os.ReadFile(lock)
		require.NoError(t, err)
		_, _ = digest.Write(content)
	}
	dir, err := filepath.Abs(fmt.Sprintf("../../.cache/sdktest/%s-%.6x", name, digest.Sum(nil)))
	require.NoError(t, err)
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir
	}
	t.Logf("installing the %s SDK into %s (some seconds)", name, dir)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.MkdirAll(dir, 0o750))
	fill(dir)
	require.NoError(t, os.WriteFile(complete, nil, 0o600))
	return dir
}

func install(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, output)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}
