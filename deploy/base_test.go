package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bootstrapper gives the machine mmdebstrap, which keeps the sources that it is given, and Debian's keys.
func bootstrapper(m *machine) {
	m.command("mmdebstrap", `case "$*" in *" - -") cat >"$ROOT/sources" ;; esac; printf archive`)
	m.write("usr/share/keyrings/debian-archive-keyring.gpg", "")
}

func TestBaseSources(t *testing.T) {
	const security = "deb http://sec.example/debian-security trixie-security main\n"
	cases := []struct {
		name  string
		files map[string]string // in /etc/apt
		want  string            // empty: mmdebstrap's default
	}{
		{name: "without sources the default mirror is taken"},
		{
			name:  "one-line sources",
			files: map[string]string{"sources.list": "# deb http://no.example/debian x main\ndeb [arch=amd64] http://one.example/debian bookworm main\n"},
			want:  "deb http://one.example/debian trixie main\ndeb http://one.example/debian trixie-updates main\n",
		},
		{
			name: "deb822 sources, with security",
			files: map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://two.example/debian/\nSuites: bookworm\n\n" +
				"Types: deb\nURIs: http://sec.example/debian-security\n"},
			want: "deb http://two.example/debian/ trixie main\ndeb http://two.example/debian/ trixie-updates main\n" + security,
		},
		{
			name: "a mirror of Ubuntu or of somebody else does not serve Debian",
			files: map[string]string{
				"sources.list":            "deb http://archive.example/ubuntu noble main\n",
				"sources.list.d/ext.list": "deb https://ext.example/apt cloud main\n",
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			bootstrapper(m)
			for name, content := range c.files {
				m.write("etc/apt/"+name, content)
			}
			said, ok := m.run("base.sh", "arm64")
			require.True(t, ok, said)
			require.Contains(t, said, "archive")
			require.Contains(t, m.calls("mmdebstrap")[0], "--architectures=arm64")
			got, _ := os.ReadFile(filepath.Join(m.root, "sources")) // it is missing where the default is taken
			require.Equal(t, c.want, string(got))
		})
	}
}

func TestBaseNeeds(t *testing.T) {
	t.Run("what is missing is installed", func(t *testing.T) {
		m := newMachine(t)
		bootstrapper(m)
		m.remove("usr/share/keyrings/debian-archive-keyring.gpg")
		said, ok := m.run("base.sh", "amd64")
		require.True(t, ok, said)
		require.Equal(t, "-q -y install --no-install-recommends debian-archive-keyring", m.calls("apt-get")[1])
	})
	t.Run("others than root are told the command", func(t *testing.T) {
		m := newMachine(t)
		withoutRoot(m)
		said, ok := m.run("base.sh", "amd64")
		require.False(t, ok)
		require.Contains(t, said, "sudo apt-get install mmdebstrap debian-archive-keyring")
	})
	t.Run("a foreign system is told of docker load and --base", func(t *testing.T) {
		m := newMachine(t)
		require.NoError(t, os.Remove(filepath.Join(m.bin, "apt-get")))
		said, ok := m.run("base.sh", "amd64")
		require.False(t, ok)
		require.Contains(t, said, "docker load")
		require.Contains(t, said, "--base")
	})
	t.Run("a bootstrap that fails, fails", func(t *testing.T) {
		m := newMachine(t)
		bootstrapper(m)
		m.command("mmdebstrap", "exit 25")
		said, ok := m.run("base.sh", "amd64")
		require.False(t, ok)
		require.NotContains(t, said, "done")
	})
	t.Run("what apt-get says does not get into the archive", func(t *testing.T) {
		m := newMachine(t)
		bootstrapper(m)
		m.remove("usr/share/keyrings/debian-archive-keyring.gpg")
		m.command("apt-get", "echo Reading package lists")
		require.Equal(t, "archive", m.output("base.sh", "amd64"))
	})
}
