//go:build integration

package docker

import (
	"encoding/json"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/require"
)

// TestRealPosture looks at a container from the inside. The same calls are made on the host, as the control: what is
// refused there too proves nothing.
func TestRealPosture(t *testing.T) {
	got := probeReal(t, startReal(t, realSpec()))

	t.Run("the supervisor has its capabilities and no more", func(t *testing.T) {
		require.Equal(t, "00000000000001e1", got["CapBnd"], "CHOWN KILL SETGID SETUID SETPCAP")
		require.Equal(t, "00000000000001e1", got["CapEff"])
		require.Equal(t, "0000000000000000", got["CapAmb"])
	})
	t.Run("no new privileges, and a filter", func(t *testing.T) {
		require.Equal(t, "1", got["NoNewPrivs"])
		require.Equal(t, "2", got["Seccomp"])
	})
	t.Run("it is root, whatever the image says", func(t *testing.T) {
		require.Equal(t, "0\t0\t0\t0", got["Uid"])
		require.Equal(t, "0\t0\t0\t0", got["Gid"])
	})
	t.Run("only memory and the workspace can be written", func(t *testing.T) {
		require.Contains(t, got["write /"], "read-only file system")
		require.Empty(t, got["write /run"])
		require.Empty(t, got["write /tmp"])
		require.Empty(t, got["write /home/user"])
	})
	t.Run("ordinary sockets are allowed", func(t *testing.T) {
		for _, family := range []string{"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"} {
			require.NotContains(t, []string{"EPERM", "ENOSYS"}, got["socket "+family], family)
		}
	})
	t.Run("system calls are refused", func(t *testing.T) {
		for _, name := range refusals {
			require.Contains(t, []string{"EPERM", "ENOSYS"}, got[name], name)
		}
	})
	t.Run("the host takes the same system calls", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("containers do not run on this kernel")
		}
		var passed []string
		for name, answer := range hostAnswers(t) {
			if slices.Contains(refusals, name) && answer != "EPERM" && answer != "ENOSYS" {
				passed = append(passed, name)
			}
		}
		require.Greater(t, len(passed), 5, "some may be refused to the user who runs this test; all would prove nothing")
	})
}

// refusals are the stand-in's calls that no container may make.
var refusals = []string{
	"io_uring_setup", "keyctl", "add_key", "request_key", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
	"kcmp", "bpf", "perf_event_open", "userfaultfd", "unshare user", "clone user", "setns", "mount",
	"socket AF_VSOCK", "socket AF_ALG", "socket AF_PACKET", "socket AF_KEY", "socket AF_TIPC", "socket AF_CAN", "socket AF_RDS",
	"socket AF_ALG + 2^32", "socketpair AF_TIPC",
}

// hostAnswers makes the calls on this machine.
func hostAnswers(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), hostProg, "control").Output()
	require.NoError(t, err)
	var answers map[string]string
	require.NoError(t, json.Unmarshal(out, &answers))
	return answers
}

// volumesOf returns all volumes of the tests' instance, anonymous ones too.
func volumesOf(t *testing.T) []*volume.Volume {
	t.Helper()
	found, err := live.api.VolumeList(t.Context(), volume.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", LabelInstance+"="+live.instance)),
	})
	require.NoError(t, err)
	return found.Volumes
}

// dangling counts the untagged images with a label.
func dangling(t *testing.T, label string) int {
	t.Helper()
	found, err := live.api.ImageList(t.Context(), image.ListOptions{
		Filters: filters.NewArgs(filters.Arg("dangling", "true"), filters.Arg("label", label)),
	})
	require.NoError(t, err)
	return len(found)
}
