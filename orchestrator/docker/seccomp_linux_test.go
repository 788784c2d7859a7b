package docker

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// refusedCalls are taken from what Docker allows to a container with few capabilities.
var refusedCalls = []string{
	"io_uring_setup", "io_uring_enter", "io_uring_register", // a kernel interface with a long record of holes
	"keyctl", "add_key", "request_key", // keys are counted a uid across the host, and are not in a namespace
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", // into other processes
	"bpf", "perf_event_open", "userfaultfd",
	"modify_ldt", // segments, for 32-bit code
	"socketcall", // sockets by a pointer, which a filter cannot look behind
}

// socketFamilies are the address families of sockets that can be made. Docker lists what is refused instead, so that
// each new family is reachable until somebody thinks of it.
var socketFamilies = []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// architectures are those that images are built for. Without sub-architectures, 32-bit calls end the process.
var architectures = []seccomp.Architecture{
	{Arch: specs.ArchX86_64, SubArches: []specs.Arch{}},
	{Arch: specs.ArchAARCH64, SubArches: []specs.Arch{}},
}

// derive makes our profile of Docker's default. Rules that depend on capabilities are resolved for a container that has
// none of those: the supervisor's few appear in no rule.
func derive() *seccomp.Seccomp {
	profile := seccomp.DefaultProfile()
	profile.ArchMap = architectures
	var rules []*seccomp.Syscall
	for _, rule := range profile.Syscalls {
		if in := rule.Includes; in != nil && (len(in.Caps) > 0 || !forOurArchitectures(in.Arches)) {
			continue
		}
		rule.Excludes = nil // those exclude CAP_SYS_ADMIN and s390
		rule.Names = slices.DeleteFunc(rule.Names, func(name string) bool {
			return name == "socket" || name == "socketpair" || slices.Contains(refusedCalls, name)
		})
		if len(rule.Names) > 0 {
			rules = append(rules, rule)
		}
	}
	rules = append(rules, allowFamily("socketpair", unix.AF_UNIX))
	for _, family := range socketFamilies {
		rules = append(rules, allowFamily("socket", family))
	}
	profile.Syscalls = rules
	return profile
}

func forOurArchitectures(arches []string) bool {
	return len(arches) == 0 || slices.Contains(arches, "amd64") || slices.Contains(arches, "arm64")
}

func allowFamily(call string, family uint64) *seccomp.Syscall {
	return &seccomp.Syscall{LinuxSyscall: specs.LinuxSyscall{
		Names:  []string{call},
		Action: specs.ActAllow,
		Args:   []specs.LinuxSeccompArg{{Index: 0, Value: family, Op: specs.OpEqualTo}},
	}}
}

func TestSeccompProfileIsDockersDefaultLessOurRefusals(t *testing.T) {
	want, err := json.MarshalIndent(derive(), "", "\t")
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("seccomp.json", append(want, '\n'), 0o600))
	}
	got, err := os.ReadFile("seccomp.json")
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "run the test with -update and review the difference")
}

func TestSeccompProfile(t *testing.T) {
	var profile seccomp.Seccomp
	require.NoError(t, json.Unmarshal([]byte(seccompProfile()), &profile))

	t.Run("refuses by default with EPERM", func(t *testing.T) {
		require.Equal(t, specs.ActErrno, profile.DefaultAction)
		require.EqualValues(t, unix.EPERM, *profile.DefaultErrnoRet)
	})
	t.Run("allows nothing that is refused", func(t *testing.T) {
		for _, rule := range profile.Syscalls {
			for _, name := range rule.Names {
				require.NotContains(t, refusedCalls, name)
			}
		}
	})
	t.Run("allows sockets of the listed families only", func(t *testing.T) {
		families := map[string][]uint64{}
		for _, rule := range profile.Syscalls {
			for _, name := range rule.Names {
				if name != "socket" && name != "socketpair" {
					continue
				}
				require.Len(t, rule.Args, 1)
				require.Equal(t, specs.OpEqualTo, rule.Args[0].Op)
				require.Zero(t, rule.Args[0].Index)
				families[name] = append(families[name], rule.Args[0].Value)
			}
		}
		require.ElementsMatch(t, socketFamilies, families["socket"])
		require.Equal(t, []uint64{unix.AF_UNIX}, families["socketpair"])
	})
	t.Run("lets no new namespaces be made", func(t *testing.T) {
		var clones int
		for _, rule := range profile.Syscalls {
			switch {
			case slices.Contains(rule.Names, "clone"):
				clones++
				require.Equal(t, specs.OpMaskedEqual, rule.Args[0].Op)
				require.EqualValues(t, 0, rule.Args[0].ValueTwo)
			case slices.Contains(rule.Names, "clone3"):
				require.Equal(t, specs.ActErrno, rule.Action)
				require.EqualValues(t, unix.ENOSYS, *rule.ErrnoRet, "so that libraries fall back on clone")
			}
			require.NotContains(t, rule.Names, "unshare")
			require.NotContains(t, rule.Names, "setns")
		}
		require.Equal(t, 1, clones)
	})
	t.Run("holds for any capability", func(t *testing.T) {
		for _, rule := range profile.Syscalls {
			require.Nil(t, rule.Excludes)
			if rule.Includes != nil {
				require.Empty(t, rule.Includes.Caps)
			}
		}
	})
	t.Run("runs native code only", func(t *testing.T) {
		require.Equal(t, architectures, profile.ArchMap)
	})
}
