package docker

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"

	"cubby/orchestrator"
)

// The labels of what the adapter makes. They hold what is known at creation; an engine cannot change them later.
const (
	// LabelInstance names the instance that a container or a volume belongs to.
	LabelInstance = "cubby.instance"
	// LabelImage is the digest of a container's image. On an image it marks one that cubby made.
	LabelImage = "cubby.image"

	labelName      = "cubby.name"
	labelUID       = "cubby.uid"
	labelWorkspace = "cubby.workspace"
	labelSchema    = "cubby.schema"
	schema         = "1"
)

const (
	supervisorPath = "/opt/cubby/supervisor"
	workspacePath  = "/home/user"
	digestPrefix   = "sha256:"

	mebibyte = 1 << 20
	// minMemory is the smallest memory limit: less holds no supervisor with an interpreter.
	minMemory = 64 * mebibyte
	// inodeBytes is how much of a tmpfs goes with one inode. An inode costs kernel memory of the container.
	inodeBytes = 4096
)

// withDefaults fills the fields that are zero.
func withDefaults(l orchestrator.Limits) orchestrator.Limits {
	d := orchestrator.DefaultLimits()
	return orchestrator.Limits{
		MemoryBytes: cmp.Or(l.MemoryBytes, d.MemoryBytes),
		CPUs:        cmp.Or(l.CPUs, d.CPUs),
		PIDs:        cmp.Or(l.PIDs, d.PIDs),
		FileBytes:   cmp.Or(l.FileBytes, d.FileBytes),
	}
}

// validate refuses what would make a container weaker than the profile. The engine takes zero and negative limits for
// no limit at all.
func validate(spec orchestrator.ContainerSpec) error {
	l := spec.Limits
	switch {
	case spec.Name == "":
		return fmt.Errorf("%w: the container has no name", orchestrator.ErrInvalid)
	case spec.UID <= 0:
		return fmt.Errorf("%w: uid %d: a kernel never runs as root", orchestrator.ErrInvalid, spec.UID)
	case !strings.HasPrefix(spec.Image, digestPrefix):
		return fmt.Errorf("%w: image %q is not named by its digest", orchestrator.ErrInvalid, spec.Image)
	case l.MemoryBytes < minMemory:
		return fmt.Errorf("%w: a memory limit of %d bytes: at least %d MiB are needed", orchestrator.ErrInvalid, l.MemoryBytes, minMemory/mebibyte)
	case l.CPUs < 0.01:
		return fmt.Errorf("%w: a limit of %v CPUs: at least 0.01 is needed", orchestrator.ErrInvalid, l.CPUs)
	case l.PIDs < 1:
		return fmt.Errorf("%w: a limit of %d processes", orchestrator.ErrInvalid, l.PIDs)
	case l.FileBytes < 1:
		return fmt.Errorf("%w: a file size limit of %d bytes", orchestrator.ErrInvalid, l.FileBytes)
	case spec.Lease < 0:
		return fmt.Errorf("%w: a lease of %v", orchestrator.ErrInvalid, spec.Lease)
	case spec.Network != "" && spec.Network != orchestrator.NetworkNone && spec.Network != orchestrator.NetworkInternet:
		return fmt.Errorf("%w: unknown network %q", orchestrator.ErrInvalid, spec.Network)
	}
	return nil
}

// convert turns a spec into what the engine is asked for. This is the security profile of every container.
func convert(spec orchestrator.ContainerSpec, instance, runtime string) (*container.Config, *container.HostConfig, *network.NetworkingConfig, error) {
	spec.Limits = withDefaults(spec.Limits)
	if err := validate(spec); err != nil {
		return nil, nil, nil, err
	}
	return toConfig(spec, instance), toHostConfig(spec, instance, runtime), &network.NetworkingConfig{}, nil
}

func toConfig(spec orchestrator.ContainerSpec, instance string) *container.Config {
	cmd := strslice.StrSlice{supervisorPath, "init", "--uid", strconv.Itoa(spec.UID)}
	if spec.Lease > 0 {
		cmd = append(cmd, "--lease", spec.Lease.String())
	}
	return &container.Config{
		User:        "0:0", // the supervisor; the kernel gets the spec's uid from it
		Entrypoint:  strslice.StrSlice{},
		Cmd:         cmd,
		WorkingDir:  "/", // constant: a user's path here has been an escape (CVE-2024-21626)
		Image:       spec.Image,
		Labels:      labelsOf(spec, instance),
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}, // an image's would run as root
	}
}

func labelsOf(spec orchestrator.ContainerSpec, instance string) map[string]string {
	labels := map[string]string{
		LabelInstance: instance,
		LabelImage:    spec.Image,
		labelName:     spec.Name,
		labelUID:      strconv.Itoa(spec.UID),
		labelSchema:   schema,
	}
	if spec.Workspace != "" {
		labels[labelWorkspace] = spec.Workspace
	}
	return labels
}

// volumeLabels are those of a workspace. An anonymous volume has no name to be listed by.
func volumeLabels(instance, workspace string) map[string]string {
	labels := map[string]string{LabelInstance: instance, labelSchema: schema}
	if workspace != "" {
		labels[labelWorkspace] = workspace
	}
	return labels
}

func toHostConfig(spec orchestrator.ContainerSpec, instance, runtime string) *container.HostConfig {
	memory := spec.Limits.MemoryBytes
	noInit := false // PID 1 is ours
	return &container.HostConfig{
		Runtime:        runtime,
		AutoRemove:     spec.Lease > 0,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled}, // a restarted container has lost its state
		NetworkMode:    networkMode(spec.Network),
		IpcMode:        container.IPCModePrivate,
		CgroupnsMode:   container.CgroupnsModePrivate,
		LogConfig:      container.LogConfig{Type: "none"}, // output goes through the bridge, never to the host's disk
		Init:           &noInit,
		CapDrop:        strslice.StrSlice{"ALL"},
		CapAdd:         strslice.StrSlice{"CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"}, // the supervisor's; a kernel has none
		SecurityOpt:    []string{"no-new-privileges", "seccomp=" + seccompProfile()},
		ReadonlyRootfs: true,
		Tmpfs:          tmpfs(memory),
		Mounts:         []mount.Mount{workspaceMount(spec.Workspace, instance)},
		Resources: container.Resources{
			Memory:     memory,
			MemorySwap: memory, // memory and swap together: no swap on top
			NanoCPUs:   int64(spec.Limits.CPUs * 1e9),
			PidsLimit:  &spec.Limits.PIDs,
			Ulimits: []*container.Ulimit{
				{Name: "nofile", Soft: 1024, Hard: 4096},
				{Name: "core", Soft: 0, Hard: 0},
				{Name: "fsize", Soft: spec.Limits.FileBytes, Hard: spec.Limits.FileBytes},
			},
		},
		// MaskedPaths and ReadonlyPaths stay nil: an empty list would take the engine's masks off.
	}
}

func networkMode(n orchestrator.Network) container.NetworkMode {
	if n == orchestrator.NetworkInternet {
		return network.NetworkBridge
	}
	return network.NetworkNone
}

// tmpfs returns the memory file systems and their options. Together with the supervisor's journal they stay under half of
// the memory limit, so that files alone cannot bring the out-of-memory killer upon PID 1.
func tmpfs(memory int64) map[string]string {
	run := min(16*mebibyte, memory/32)
	tmp := min(256*mebibyte, memory/4)
	shm := min(64*mebibyte, memory/16)
	return map[string]string{
		"/run": fmt.Sprintf("rw,noexec,nosuid,nodev,mode=755,size=%d,nr_inodes=%d", run, run/inodeBytes),
		"/tmp": fmt.Sprintf("rw,exec,nosuid,nodev,mode=1777,size=%d,nr_inodes=%d", tmp, tmp/inodeBytes),
		// In place of the engine's own, whose inodes have no limit.
		"/dev/shm": fmt.Sprintf("rw,noexec,nosuid,nodev,mode=1777,size=%d,nr_inodes=%d", shm, shm/inodeBytes),
	}
}

// workspaceMount mounts a volume that starts empty, whatever the image has in that place. An anonymous one goes when
// its container is removed.
func workspaceMount(workspace, instance string) mount.Mount {
	return mount.Mount{
		Type:   mount.TypeVolume,
		Source: workspace,
		Target: workspacePath,
		VolumeOptions: &mount.VolumeOptions{
			NoCopy: true,
			Labels: volumeLabels(instance, workspace),
		},
	}
}
