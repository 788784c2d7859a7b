package docker

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/strslice"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

func TestConvertGolden(t *testing.T) {
	leased := freshSpec()
	leased.Workspace, leased.Lease, leased.Network = "", 30*time.Second, orchestrator.NetworkInternet
	leased.Limits = orchestrator.Limits{MemoryBytes: 256 << 20, CPUs: 0.5, PIDs: 64, FileBytes: 1 << 20}
	for name, c := range map[string]struct {
		spec    orchestrator.ContainerSpec
		runtime string
	}{
		"defaults": {spec: freshSpec()},
		"leased":   {spec: leased, runtime: "runsc"},
	} {
		t.Run(name, func(t *testing.T) {
			config, host, _, err := convert(c.spec, testInstance, c.runtime)
			require.NoError(t, err)
			requireGolden(t, name+".config.json", config)
			requireGolden(t, name+".host.json", host)
		})
	}
}

// TestProfile says in words what the golden files hold.
func TestProfile(t *testing.T) {
	config, host, net, err := convert(freshSpec(), testInstance, "")
	require.NoError(t, err)
	for name, check := range map[string]func(t *testing.T){
		"all capabilities are dropped but the supervisor's": func(t *testing.T) {
			require.Equal(t, strslice.StrSlice{"ALL"}, host.CapDrop)
			require.ElementsMatch(t, []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"}, host.CapAdd)
			require.False(t, host.Privileged)
		},
		"no new privileges, and our seccomp profile": func(t *testing.T) {
			require.Equal(t, []string{"no-new-privileges", "seccomp=" + seccompProfile()}, host.SecurityOpt)
		},
		"PID 1 is the supervisor, whatever the image says": func(t *testing.T) {
			require.Equal(t, strslice.StrSlice{"/opt/cubby/supervisor", "init", "--uid", "1073741824"}, config.Cmd)
			require.NotNil(t, config.Entrypoint, "nil would mean the image's")
			require.Empty(t, config.Entrypoint)
			require.False(t, *host.Init)
			require.Equal(t, []string{"NONE"}, config.Healthcheck.Test)
			require.Equal(t, "0:0", config.User)
			require.Equal(t, "/", config.WorkingDir)
		},
		"the root file system is read-only": func(t *testing.T) {
			require.True(t, host.ReadonlyRootfs)
			require.Empty(t, host.Binds)
		},
		"the engine's masks stay": func(t *testing.T) {
			require.Nil(t, host.MaskedPaths)
			require.Nil(t, host.ReadonlyPaths)
		},
		"namespaces are its own": func(t *testing.T) {
			require.EqualValues(t, "private", host.IpcMode)
			require.EqualValues(t, "private", host.CgroupnsMode)
			require.Empty(t, host.PidMode)
			require.Empty(t, host.UTSMode)
			require.Empty(t, host.UsernsMode)
			require.EqualValues(t, "none", host.NetworkMode)
			require.Empty(t, net.EndpointsConfig)
		},
		"memory includes swap": func(t *testing.T) {
			require.EqualValues(t, 1<<30, host.Memory)
			require.Equal(t, host.Memory, host.MemorySwap)
			require.Nil(t, host.MemorySwappiness)
			require.Nil(t, host.OomKillDisable)
			require.Zero(t, host.OomScoreAdj)
		},
		"CPU, processes and files are bounded": func(t *testing.T) {
			require.EqualValues(t, 1_000_000_000, host.NanoCPUs)
			require.EqualValues(t, 256, *host.PidsLimit)
			require.Equal(t, []*container.Ulimit{
				{Name: "nofile", Soft: 1024, Hard: 4096}, {Name: "core"}, {Name: "fsize", Soft: 8 << 30, Hard: 8 << 30},
			}, host.Ulimits)
		},
		"it never starts again and keeps no log": func(t *testing.T) {
			require.EqualValues(t, "no", host.RestartPolicy.Name)
			require.Equal(t, "none", host.LogConfig.Type)
			require.False(t, host.AutoRemove)
		},
		"the workspace is a volume that starts empty": func(t *testing.T) {
			require.Len(t, host.Mounts, 1)
			require.Equal(t, mount.TypeVolume, host.Mounts[0].Type)
			require.Equal(t, "cubby-ws-1", host.Mounts[0].Source)
			require.Equal(t, "/home/user", host.Mounts[0].Target)
			require.True(t, host.Mounts[0].VolumeOptions.NoCopy)
		},
		"labels say whose it is": func(t *testing.T) {
			require.Equal(t, map[string]string{
				"cubby.instance": testInstance, "cubby.name": "cubby-x7", "cubby.uid": "1073741824",
				"cubby.workspace": "cubby-ws-1", "cubby.image": testDigest, "cubby.schema": "1",
			}, config.Labels)
		},
	} {
		t.Run(name, check)
	}
}

func TestConvertLease(t *testing.T) {
	spec := freshSpec()
	spec.Workspace, spec.Lease = "", 30*time.Second
	config, host, _, err := convert(spec, testInstance, "")
	require.NoError(t, err)
	require.True(t, host.AutoRemove)
	require.Equal(t, []string{"--lease", "30s"}, []string(config.Cmd[len(config.Cmd)-2:]))
	require.Empty(t, host.Mounts[0].Source, "an anonymous volume")
	require.NotContains(t, config.Labels, labelWorkspace)
	require.Equal(t, map[string]string{LabelInstance: testInstance, labelSchema: "1"}, host.Mounts[0].VolumeOptions.Labels)
}

func TestConvertRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*orchestrator.ContainerSpec){
		"no name":          func(s *orchestrator.ContainerSpec) { s.Name = "" },
		"root":             func(s *orchestrator.ContainerSpec) { s.UID = 0 },
		"negative uid":     func(s *orchestrator.ContainerSpec) { s.UID = -1 },
		"a tag":            func(s *orchestrator.ContainerSpec) { s.Image = "cubby/python:latest" },
		"no image":         func(s *orchestrator.ContainerSpec) { s.Image = "" },
		"tiny memory":      func(s *orchestrator.ContainerSpec) { s.Limits.MemoryBytes = 32 << 20 },
		"unlimited memory": func(s *orchestrator.ContainerSpec) { s.Limits.MemoryBytes = -1 },
		"negative CPUs":    func(s *orchestrator.ContainerSpec) { s.Limits.CPUs = -1 },
		"unlimited pids":   func(s *orchestrator.ContainerSpec) { s.Limits.PIDs = -1 },
		"unlimited files":  func(s *orchestrator.ContainerSpec) { s.Limits.FileBytes = -1 },
		"negative lease":   func(s *orchestrator.ContainerSpec) { s.Lease = -time.Second },
		"unknown network":  func(s *orchestrator.ContainerSpec) { s.Network = "host" },
	} {
		t.Run(name, func(t *testing.T) {
			spec := freshSpec()
			spoil(&spec)
			_, _, _, err := convert(spec, testInstance, "")
			require.ErrorIs(t, err, orchestrator.ErrInvalid)
		})
	}
}

func TestMemoryFileSystemsStayUnderHalfOfTheMemory(t *testing.T) {
	const journal = 8 << 20
	for _, memory := range []int64{minMemory, 100 << 20, 128 << 20, 512 << 20, 1 << 30, 64 << 30} {
		sum := int64(journal)
		for path, options := range tmpfs(memory) {
			size := numberOf(t, options, "size=")
			require.Positive(t, size, path)
			require.Equal(t, size/inodeBytes, numberOf(t, options, "nr_inodes="), path)
			sum += size
		}
		require.Less(t, sum, memory/2, "of %d bytes", memory)
	}
}

func TestTmpfsOptions(t *testing.T) {
	mounts := tmpfs(1 << 30)
	require.Equal(t, "rw,noexec,nosuid,nodev,mode=755,size=16777216,nr_inodes=4096", mounts["/run"])
	require.Equal(t, "rw,exec,nosuid,nodev,mode=1777,size=268435456,nr_inodes=65536", mounts["/tmp"])
	require.Equal(t, "rw,noexec,nosuid,nodev,mode=1777,size=67108864,nr_inodes=16384", mounts["/dev/shm"])
}

func numberOf(t *testing.T, options, key string) int64 {
	t.Helper()
	for _, option := range strings.Split(options, ",") {
		if digits, ok := strings.CutPrefix(option, key); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			require.NoError(t, err)
			return n
		}
	}
	require.Fail(t, "no "+key+" in "+options)
	return 0
}
