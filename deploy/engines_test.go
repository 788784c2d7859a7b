package deploy

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a private engine does is tested where it is used; here, what it says where it cannot be had.
func TestPrivateEngine(t *testing.T) {
	for _, tc := range []struct {
		name    string
		machine func(*machine)
		args    []string
		says    string
	}{
		{"nothing asked for is told the usage", withDocker, nil, "usage: private-engine.sh start DIR"},
		{"an unknown order is told the usage", withDocker, []string{"restart", "/engine"}, "usage: private-engine.sh start DIR"},
		{"others than root are told", withoutRoot, []string{"start", "/engine"}, "needs root: run this as root"},
		{
			"another system is told", func(m *machine) { m.command("uname", "echo Darwin") }, []string{"start", "/engine"},
			"needs Linux",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			tc.machine(m)
			said, ok := m.run("private-engine.sh", tc.args...)
			require.False(t, ok, said)
			require.Contains(t, said, tc.says)
		})
	}
	for _, order := range []string{"stop", "pids", "end"} {
		t.Run(order+" without an engine does nothing", func(t *testing.T) {
			m := newMachine(t)
			m.command("rmdir", "exit 1")
			said, ok := m.run("private-engine.sh", order, filepath.Join(m.root, "engine"), "dockerd")
			require.True(t, ok, said)
			require.Empty(t, said)
		})
	}
}

func TestTestEngines(t *testing.T) {
	t.Run("others than root are told", func(t *testing.T) {
		m := newMachine(t)
		withoutRoot(m)
		said, ok := m.run("test-engines.sh", "trixie", "./api")
		require.False(t, ok, said)
		require.Contains(t, said, "need root: run this as root")
	})
	t.Run("what needs a way out is left out, and says why", func(t *testing.T) {
		m := newMachine(t)
		m.write("etc/apt/sources.list", "deb http://one.example/debian bookworm main\n")
		m.command("mmdebstrap", "exit 1")
		m.write("usr/share/keyrings/debian-archive-keyring.gpg", "")
		said, ok := m.run("test-engines.sh", "trixie", "./images", "./api")
		require.False(t, ok, said)
		require.Contains(t, said, "left out: ./images, whose tests build images with packages from outside")
		require.NotContains(t, said, "left out: ./api")
		require.Contains(t, said, "Debian trixie cannot be bootstrapped")
		require.Len(t, m.calls("mmdebstrap"), 1)
		require.Contains(t, m.calls("mmdebstrap")[0], "trixie.new http://one.example/debian")
	})
}
