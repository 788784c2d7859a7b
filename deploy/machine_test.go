package deploy

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// machine is a pretended machine: a root directory, and a PATH with fake commands that log how they were called.
type machine struct {
	t    *testing.T
	root string
	bin  string
	env  []string
}

// newMachine returns a Debian without systemd, on which we are root. No command but the scripts' ordinary tools is there.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), bin: t.TempDir()}
	for _, name := range []string{"sh", "sed", "tr", "cat", "rm", "mkdir", "dirname", "ln", "chmod"} {
		tool, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(tool, filepath.Join(m.bin, name)))
	}
	m.write("etc/os-release", "NAME=\"Debian GNU/Linux\"\nID=debian\n")
	m.write("var/run/keep", "")
	m.command("id", `case $1 in -u) echo 0 ;; -un) echo ada ;; esac`)
	m.command("uname", "echo Linux")
	m.command("sleep", `exec /bin/sleep 0.02`)
	m.command("setsid", `exec "$@"`)
	m.command("apt-get", "")
	m.command("dpkg-query", "exit 1")
	return m
}

// command makes a fake command. Its body can use $ROOT, the machine's root directory.
func (m *machine) command(name, body string) {
	m.t.Helper()
	script := "#!/bin/sh\necho \"" + name + " $*\" >>\"$ROOT/calls\"\n" + body + "\n"
	require.NoError(m.t, os.WriteFile(filepath.Join(m.bin, name), []byte(script), 0o700))
}

// write makes a file under the machine's root.
func (m *machine) write(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(content), 0o600))
}

// remove takes away a file under the machine's root.
func (m *machine) remove(name string) {
	m.t.Helper()
	require.NoError(m.t, os.Remove(filepath.Join(m.root, name)))
}

// chmod makes a file under the machine's root executable.
func (m *machine) chmod(name string) {
	m.t.Helper()
	require.NoError(m.t, os.Chmod(filepath.Join(m.root, name), 0o700))
}

// run runs a script on the machine and returns what it said and whether it succeeded.
func (m *machine) run(script string, args ...string) (said string, ok bool) {
	m.t.Helper()
	out, err := m.script(script, args...).CombinedOutput()
	return string(out), err == nil
}

// output runs a script that succeeds and returns its standard output alone.
func (m *machine) output(script string, args ...string) string {
	m.t.Helper()
	out, err := m.script(script, args...).Output()
	require.NoError(m.t, err)
	return string(out)
}

func (m *machine) script(script string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(m.t.Context(), "/bin/sh", append([]string{script}, args...)...)
	cmd.Env = append([]string{
		"PATH=" + m.bin, "ROOT=" + m.root, "CUBBY_TEST_ROOT=" + m.root, "CUBBY_ENGINE_WAIT=250",
		"CUBBY_CACHE=" + filepath.Join(m.root, "cache"),
	}, m.env...)
	return cmd
}

// calls returns the calls of one fake command, without its name.
func (m *machine) calls(name string) []string {
	m.t.Helper()
	log, err := os.ReadFile(filepath.Join(m.root, "calls"))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(m.t, err)
	}
	var calls []string
	for line := range strings.Lines(string(log)) {
		if args, ok := strings.CutPrefix(strings.TrimSpace(line)+" ", name+" "); ok {
			calls = append(calls, strings.TrimSpace(args))
		}
	}
	return calls
}
