//go:build integration

package abusetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	sdk "github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"cubby/images"
)

// privateEngine is a Docker engine of the test's own, which may be ended and started again. From its start to the end of
// the test, servers find it instead of the machine's. Tests with one do not run in parallel.
type privateEngine struct {
	dir  string
	args []string // of dockerd
}

// startPrivateEngine starts an engine that has the images of the languages, and ends it with the test.
func startPrivateEngine(t *testing.T, args ...string) *privateEngine {
	t.Helper()
	dir, err := os.MkdirTemp("", "cubby-engine-") // a test's own directory is too long for the name of a socket
	require.NoError(t, err)
	e := &privateEngine{dir: dir}
	t.Cleanup(func() {
		e.do(t, "end")
		if log, err := os.ReadFile(filepath.Join(dir, "engine.log")); t.Failed() && err == nil {
			lines := strings.Split(string(log), "\n")
			t.Logf("the end of the engine's log:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
		require.NoError(t, os.RemoveAll(dir))
	})
	e.start(t, args...)
	source := dial(t)
	defer source.Close()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "engine.sock"))
	e.load(t, source)
	return e
}

// load copies the image of Python from another engine.
func (e *privateEngine) load(t *testing.T, source *sdk.Client) {
	t.Helper()
	version, err := source.ServerVersion(t.Context())
	require.NoError(t, err)
	tag, err := images.Tag("python", version.Arch)
	require.NoError(t, err)
	archive, err := source.ImageSave(t.Context(), []string{tag})
	require.NoError(t, err, "make images builds it")
	defer archive.Close()
	own := dial(t)
	defer own.Close()
	loaded, err := own.ImageLoad(t.Context(), archive, sdk.ImageLoadWithQuiet(true))
	require.NoError(t, err)
	require.NoError(t, loaded.Body.Close())
	_, err = own.ImageInspect(t.Context(), tag)
	require.NoError(t, err)
}

// do runs the script, and returns what it prints.
func (e *privateEngine) do(t *testing.T, order string, args ...string) string {
	t.Helper()
	script := exec.Command("sh", append([]string{"../../deploy/private-engine.sh", order, e.dir}, args...)...) //nolint:noctx // its waits are bounded, and it has to end in order
	said, err := script.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return string(said)
}

// start starts dockerd, at first or on the data of the one before.
func (e *privateEngine) start(t *testing.T, args ...string) {
	t.Helper()
	e.do(t, "start", args...)
	e.args = args
}

// stop ends dockerd as a service manager does. Without --live-restore that ends the containers, too.
func (e *privateEngine) stop(t *testing.T) { t.Helper(); e.do(t, "stop") }

// kill ends dockerd with no chance to do anything.
func (e *privateEngine) kill(t *testing.T) {
	t.Helper()
	pids := e.pids(t, "dockerd")
	require.Len(t, pids, 1)
	e.killProcess(t, pids[0])
}

// pids are the processes of the engine that have a name.
func (e *privateEngine) pids(t *testing.T, name string) []int {
	t.Helper()
	var pids []int
	for word := range strings.FieldsSeq(e.do(t, "pids", name)) {
		pid, err := strconv.Atoi(word)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// killProcess kills a process and waits until it is gone, or a zombie that nobody has fetched yet.
func (e *privateEngine) killProcess(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(t, func() bool {
		p, alive := readProcess(filepath.Join("/proc", strconv.Itoa(pid)))
		return !alive || p.state == "Z"
	}, patience, 10*time.Millisecond)
}

// shimOf is the process that containerd keeps for a container.
func (e *privateEngine) shimOf(t *testing.T, container string) int {
	t.Helper()
	for _, pid := range e.pids(t, "containerd-shim-runc-v2") {
		line, err := os.ReadFile(procFile(pid, "cmdline"))
		if err == nil && strings.Contains(string(line), container) {
			return pid
		}
	}
	require.Fail(t, "no shim", container)
	return 0
}

// holder is the process through which the engine's namespaces are entered.
func (e *privateEngine) holder(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, "holder.pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return pid
}

// within runs a command in the engine's namespaces.
func (e *privateEngine) within(t *testing.T, command ...string) {
	t.Helper()
	target := []string{"--target", strconv.Itoa(e.holder(t)), "--mount", "--net"}
	said, err := exec.CommandContext(t.Context(), "nsenter", append(target, command...)...).CombinedOutput()
	require.NoError(t, err, "%s", said)
}
