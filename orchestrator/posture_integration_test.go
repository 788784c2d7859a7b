//go:build integration

package orchestrator_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// look is what a kernel sees of itself, of PID 1 and of its container.
const look = `
import json, os, resource
def status(pid):
    return dict(line.rstrip("\n").split(":\t", 1) for line in open(f"/proc/{pid}/status") if ":\t" in line)
def refused(path, mode):
    try:
        with open(path, mode) as f: return "empty" if mode == "rb" and not f.read(1) else "allowed"
    except OSError as e: return os.strerror(e.errno)
mounts = {f[4]: (f[5], f[f.index("-") + 1], f[-1]) for f in (l.split() for l in open("/proc/self/mountinfo"))}
print(json.dumps({
    "kernel": status("self"), "init": status(1), "mounts": mounts, "devices": sorted(os.listdir("/dev")),
    "score": [int(open(f"/proc/{p}/oom_score_adj").read()) for p in (1, "self")],
    "interfaces": sorted(os.listdir("/sys/class/net")), "fds": [os.readlink(f"/proc/self/fd/{i}") for i in (0, 3)],
    "limits": {n: resource.getrlimit(getattr(resource, n)) for n in ("RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_FSIZE")},
    "namespaces": {n: os.readlink(f"/proc/self/ns/{n}") for n in ("pid", "net", "ipc", "uts", "mnt", "cgroup")},
    "opens": {f"{p} {m}": refused(p, m) for p, m in (
        ("/x", "w"), ("/opt/cubby/supervisor", "a"), ("/run/cubby/supervisor.sock", "r"), ("/run/x", "w"), ("/proc/1/mem", "rb"),
        ("/proc/1/environ", "rb"), ("/proc/sysrq-trigger", "w"), ("/proc/sys/kernel/core_pattern", "w"), ("/proc/kcore", "rb"),
        ("/tmp/x", "w"), ("/dev/shm/x", "w"), ("/home/user/x", "w"))},
}))`

type posture struct {
	Kernel, Init map[string]string
	Mounts       map[string][3]string
	Devices      []string
	Score        []int
	Interfaces   []string
	FDs          []string
	Limits       map[string][2]int64
	Namespaces   map[string]string
	Opens        map[string]string
}

// TestPosture: what a context's processes are, and what they can reach, held against
// the profile.
func TestPosture(t *testing.T) {
	w := newWorld(t)
	id := w.create(t)
	got := w.run(t, id, look)
	require.Empty(t, got.errName)
	var p posture
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &p))

	t.Run("C1 the kernel has no privilege and no way to one", func(t *testing.T) {
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			require.Equal(t, "0000000000000000", p.Kernel[set], set)
		}
		require.Equal(t, "1", p.Kernel["NoNewPrivs"])
		require.Equal(t, "2", p.Kernel["Seccomp"])
		uids := strings.Fields(p.Kernel["Uid"])
		require.Len(t, slices.Compact(uids), 1)
		require.Greater(t, len(uids[0]), 9, "a uid of its own, above 2^30")
		require.Equal(t, uids[0], slices.Compact(strings.Fields(p.Kernel["Gid"]))[0])
		require.Empty(t, strings.TrimSpace(p.Kernel["Groups"]))
	})
	t.Run("C1 the supervisor has what it needs", func(t *testing.T) {
		const killSetuidSetgidSetpcap = "00000000000001e0"
		require.Equal(t, killSetuidSetgidSetpcap, p.Init["CapBnd"], "CHOWN is gone once the workspace is prepared")
		require.Equal(t, killSetuidSetgidSetpcap, p.Init["CapEff"])
		require.Equal(t, "1", p.Init["NoNewPrivs"])
		require.Equal(t, "2", p.Init["Seccomp"])
		require.NotEqual(t, "0 kB", strings.TrimSpace(p.Init["VmLck"]), "its program stays in a memory that thrashes")
	})
	t.Run("memory pressure kills the user's processes first", func(t *testing.T) {
		require.Less(t, p.Score[0], p.Score[1])
	})
	t.Run("mounts", func(t *testing.T) { requireMounts(t, p.Mounts) })
	t.Run("B10 files", func(t *testing.T) {
		for _, absent := range []string{"/proc/sysrq-trigger w", "/proc/kcore rb"} { // on some kernels
			require.NotEqual(t, "allowed", p.Opens[absent], absent)
			delete(p.Opens, absent)
		}
		require.Equal(t, map[string]string{
			"/x w": "Read-only file system", "/opt/cubby/supervisor a": "Permission denied",
			"/run/cubby/supervisor.sock r": "Permission denied", "/run/x w": "Permission denied",
			"/proc/1/mem rb": "Permission denied", "/proc/1/environ rb": "Permission denied",
			"/proc/sys/kernel/core_pattern w": "Read-only file system",
			"/tmp/x w":                        "allowed", "/dev/shm/x w": "allowed", "/home/user/x w": "allowed",
		}, p.Opens)
	})
	t.Run("C8 devices", func(t *testing.T) {
		devices := slices.DeleteFunc(p.Devices, func(name string) bool { return name == "core" }) // a link to /proc/kcore, where there is one
		require.Equal(t, []string{"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}, devices)
	})
	t.Run("C16 limits", func(t *testing.T) {
		require.Equal(t, [2]int64{0, 0}, p.Limits["RLIMIT_CORE"])
		require.Equal(t, [2]int64{1024, 4096}, p.Limits["RLIMIT_NOFILE"])
		require.Equal(t, orchestrator.DefaultLimits().FileBytes, p.Limits["RLIMIT_FSIZE"][1])
	})
	t.Run("D1 network and input", func(t *testing.T) {
		require.Equal(t, []string{"lo"}, p.Interfaces)
		require.Equal(t, "/dev/null", p.FDs[0])
		require.Regexp(t, `^socket:`, p.FDs[1])
	})
	t.Run("C1 namespaces are not the host's", func(t *testing.T) {
		for name, ns := range p.Namespaces {
			ours, err := os.Readlink(filepath.Join("/proc/self/ns", name))
			require.NoError(t, err)
			require.NotEqual(t, ours, ns, name)
		}
	})
}

func requireMounts(t *testing.T, mounts map[string][3]string) {
	t.Helper()
	require.Contains(t, strings.Split(mounts["/"][0], ","), "ro")
	writable := []string{}
	for path, m := range mounts {
		options := strings.Split(m[0], ",")
		if slices.Contains(options, "ro") || strings.HasPrefix(path, "/proc") || strings.HasPrefix(path, "/sys/fs/cgroup") {
			continue
		}
		writable = append(writable, path)
		if path == "/tmp" || path == "/run" || path == "/dev/shm" {
			require.Equal(t, "tmpfs", m[1], path)
			require.Subset(t, options, []string{"nosuid", "nodev"}, path)
		}
	}
	slices.Sort(writable)
	require.Subset(t, []string{
		"/dev", "/dev/mqueue", "/dev/pts", "/dev/shm", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/home/user", "/run", "/tmp",
	}, writable)
	require.Contains(t, strings.Split(mounts["/run"][0], ","), "noexec")
	for _, m := range mounts {
		require.NotContains(t, m[2], "docker.sock")
	}
}
