package deploy

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// dockerCommand is a docker command whose engine answers once the file up is there.
const dockerCommand = `
case $1 in
context) echo "${CONTEXT:-default}" ;;
version) if [ -e "$ROOT/up" ]; then echo 28.5.2; else echo "${REFUSAL:-Is the docker daemon running?}" >&2; exit 1; fi ;;
esac`

// withDocker gives the machine the docker command.
func withDocker(m *machine) { m.command("docker", dockerCommand) }

// withPackage gives the machine a package with an engine in it, which does not run.
func withPackage(name string) func(*machine) {
	return func(m *machine) {
		withDocker(m)
		m.command("dpkg-query", `case " $* " in *" `+name+` "*) echo "install ok installed" ;; *) exit 1 ;; esac`)
		m.command("dockerd", `: >"$ROOT/up"`)
	}
}

// withRepository makes docker.io installable: with the docker command, as on older releases, or without it.
func withRepository(m *machine) {
	repository(m, `*" docker.io "*) /bin/mv "$ROOT/docker" "$ROOT/dockerd" "$BIN" ;;`)
}

func withSplitRepository(m *machine) {
	repository(m, `*" docker.io "*) /bin/mv "$ROOT/dockerd" "$BIN" ;; *" docker-cli") /bin/mv "$ROOT/docker" "$BIN" ;;`)
}

func repository(m *machine, cases string) {
	withPackage("docker.io")(m)
	m.command("dpkg-query", "exit 1")
	for _, name := range []string{"docker", "dockerd"} {
		require.NoError(m.t, os.Rename(filepath.Join(m.bin, name), filepath.Join(m.root, name)))
	}
	m.command("apt-get", "BIN="+m.bin+`; case "$*" in `+cases+` esac`)
}

// withSocket gives the machine a running docker.io without the docker command.
func withSocket(m *machine) {
	withPackage("docker.io")(m)
	require.NoError(m.t, os.Remove(filepath.Join(m.bin, "docker")))
	listener, err := (&net.ListenConfig{}).Listen(m.t.Context(), "unix", filepath.Join(m.root, "var/run/docker.sock"))
	require.NoError(m.t, err)
	m.t.Cleanup(func() { _ = listener.Close() })
}

// running makes the engine answer.
func running(m *machine) { m.write("up", "") }

func withSystemd(m *machine) {
	m.write("run/systemd/system/keep", "")
	m.command("systemctl", `: >"$ROOT/up"`)
}

func withoutRoot(m *machine) { m.command("id", `case $1 in -u) echo 1000 ;; -un) echo ada ;; esac`) }

func with(steps ...func(*machine)) func(*machine) {
	return func(m *machine) {
		for _, step := range steps {
			step(m)
		}
	}
}

func env(assignment string) func(*machine) {
	return func(m *machine) { m.env = append(m.env, assignment) }
}

const installDocker = "-q -y install --no-install-recommends docker.io ca-certificates"

func TestEngine(t *testing.T) {
	cases := []struct {
		name    string
		machine func(*machine)
		ok      bool
		says    string
		apt     []string // the calls of apt-get
		systemd []string // the calls of systemctl
		dockerd []string // the calls of dockerd
	}{
		{
			name: "one that answers is taken", machine: with(withDocker, running),
			ok: true, says: "using Docker engine 28.5.2 (the default one)",
		},
		{
			name: "that of DOCKER_HOST is taken", machine: with(withDocker, running, env("DOCKER_HOST=tcp://10.0.0.1:2376")),
			ok: true, says: "using Docker engine 28.5.2 (DOCKER_HOST=tcp://10.0.0.1:2376)",
		},
		{
			name: "nothing takes the place of that of DOCKER_HOST", machine: with(withRepository, env("DOCKER_HOST=unix:///x")),
			says: "DOCKER_HOST=unix:///x does not answer",
		},
		{
			name: "nothing takes the place of that of a docker context", machine: with(withDocker, env("CONTEXT=desktop-linux")),
			says: `the docker context "desktop-linux" does not answer: Is the docker daemon running?`,
		},
		{
			name: "without permission the group is named", machine: with(withPackage("docker.io"), withoutRoot,
				env("REFUSAL=permission denied while trying to connect")),
			says: "sudo usermod -aG docker ada",
		},
		{
			name: "macOS is told of Docker Desktop and colima", machine: func(m *machine) { m.command("uname", "echo Darwin") },
			says: "Docker Desktop (https://docs.docker.com/desktop/) or colima",
		},
		{
			name: "a stopped one under systemd is left to its owner", machine: with(withPackage("docker-ce"), withSystemd),
			says: "docker-ce is installed but does not answer. Start it: sudo systemctl start docker",
		},
		{
			name: "a stopped one is not for others than root to start", machine: with(withPackage("docker.io"), withoutRoot),
			says: "docker.io is installed but does not answer. Start it: sudo service docker start",
		},
		{
			name: "a stopped one without systemd is started", machine: withPackage("docker.io"),
			ok: true, says: "Docker engine 28.5.2 answers", dockerd: []string{""},
		},
		{
			name: "nothing is installed beside another package", machine: withPackage("podman-docker"),
			says: "podman-docker is installed but does not answer",
		},
		{
			name: "nothing is installed beside the snap", machine: with(withDocker, func(m *machine) { m.command("snap", "") }),
			says: "the snap docker is installed but does not answer",
		},
		{
			name: "a dockerd of no package counts as installed", machine: with(withDocker, withSystemd,
				func(m *machine) { m.command("dockerd", "") }),
			says: "dockerd is installed but does not answer",
		},
		{
			name: "a running one without the docker command says what is missing", machine: withSocket,
			says: "sudo apt-get install docker-cli",
		},
		{
			name:    "a foreign system is told where to get one",
			machine: func(m *machine) { m.write("etc/os-release", "ID=fedora\n") },
			says:    "https://docs.docker.com/engine/install/",
		},
		{
			name: "on Debian, others than root are told the command", machine: with(withRepository, withoutRoot),
			says: "sudo apt-get install docker.io",
		},
		{
			name: "on Debian, root gets docker.io, in the background", machine: withRepository,
			ok: true, says: "75 MB to download", apt: []string{"-q update", installDocker}, dockerd: []string{""},
		},
		{
			name: "on a system made from Ubuntu too", machine: with(withRepository, func(m *machine) {
				m.write("etc/os-release", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n")
			}),
			ok: true, says: "Docker engine 28.5.2 answers", apt: []string{"-q update", installDocker}, dockerd: []string{""},
		},
		{
			name: "under systemd that starts it", machine: with(withRepository, withSystemd),
			ok: true, says: "Docker engine 28.5.2 answers", apt: []string{"-q update", installDocker},
			systemd: []string{"enable --now docker"},
		},
		{
			name: "a docker command in a package of its own is installed", machine: withSplitRepository,
			ok: true, says: "Docker engine 28.5.2 answers", dockerd: []string{""},
			apt: []string{"-q update", installDocker, "-q update", "-q -y install --no-install-recommends docker-cli"},
		},
		{
			name: "lists that cannot be fetched are no reason to stop", machine: with(withRepository, func(m *machine) {
				install, err := os.ReadFile(filepath.Join(m.bin, "apt-get"))
				require.NoError(m.t, err)
				m.command("apt-get", `[ "$2" != update ] || exit 100`+"\n"+string(install))
			}),
			ok: true, says: "apt-get update had faults", dockerd: []string{""},
			apt: []string{"-q update", installDocker, installDocker},
		},
		{
			name: "a failed installation is said", machine: func(m *machine) { m.command("apt-get", `[ "$2" = update ]`) },
			says: "apt-get could not install docker.io", apt: []string{"-q update", installDocker},
		},
		{
			name: "one that never answers is said with its log", machine: with(withPackage("docker.io"), env("CUBBY_ENGINE_WAIT=2"),
				func(m *machine) { m.command("dockerd", "echo no cgroups") }),
			says: "did not answer within 2 s", dockerd: []string{""},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			c.machine(m)
			said, ok := m.run("engine.sh")
			require.Equal(t, c.ok, ok, said)
			require.Contains(t, said, c.says)
			require.Equal(t, c.apt, m.calls("apt-get"))
			require.Equal(t, c.systemd, m.calls("systemctl"))
			require.Equal(t, c.dockerd, m.calls("dockerd"))
		})
	}
}

func TestEnginePidFiles(t *testing.T) {
	t.Run("of a daemon that is gone are removed before the start", func(t *testing.T) {
		m := newMachine(t)
		withPackage("docker.io")(m)
		m.write("var/run/docker.pid", "7")
		m.write("proc/7/comm", "postgres\n")
		m.write("var/run/docker/containerd/containerd.pid", "8")
		said, ok := m.run("engine.sh")
		require.True(t, ok, said)
		require.Equal(t, []string{""}, m.calls("dockerd"))
		require.NoFileExists(t, filepath.Join(m.root, "var/run/docker.pid"))
		require.NoFileExists(t, filepath.Join(m.root, "var/run/docker/containerd/containerd.pid"))
	})
	t.Run("of a daemon that is a zombie are removed, too", func(t *testing.T) {
		m := newMachine(t)
		withPackage("docker.io")(m)
		m.write("var/run/docker.pid", "7")
		m.write("proc/7/comm", "dockerd\n")
		m.write("proc/7/status", "Name:\tdockerd\nState:\tZ (zombie)\n")
		said, ok := m.run("engine.sh")
		require.True(t, ok, said)
		require.Equal(t, []string{""}, m.calls("dockerd"))
	})
	t.Run("of a daemon that was about to end are not waited for", func(t *testing.T) {
		m := newMachine(t)
		withPackage("docker.io")(m)
		m.write("var/run/docker.pid", "7")
		m.write("proc/7/comm", "dockerd\n")
		m.command("sleep", "rm -rf "+filepath.Join(m.root, "proc", "7"))
		said, ok := m.run("engine.sh")
		require.True(t, ok, said)
		require.Equal(t, []string{""}, m.calls("dockerd"))
	})
	t.Run("of a daemon that is starting are respected", func(t *testing.T) {
		m := newMachine(t)
		withPackage("docker.io")(m)
		m.env = append(m.env, "CUBBY_ENGINE_WAIT=1")
		m.write("var/run/docker.pid", "7")
		m.write("proc/7/comm", "dockerd\n")
		said, ok := m.run("engine.sh")
		require.False(t, ok, said)
		require.Empty(t, m.calls("dockerd"))
		pid, err := os.ReadFile(filepath.Join(m.root, "var/run/docker.pid"))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(7), string(pid))
	})
}

func TestEngineTwice(t *testing.T) {
	m := newMachine(t)
	withRepository(m)
	said, ok := m.run("engine.sh")
	require.True(t, ok, said)
	installs := len(m.calls("apt-get"))
	said, ok = m.run("engine.sh")
	require.True(t, ok, said)
	require.Contains(t, said, "using Docker engine")
	require.Len(t, m.calls("apt-get"), installs)
	require.Len(t, m.calls("dockerd"), 1)
}
