package docker

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
)

// Info describes the engine and its host.
type Info struct {
	Endpoint       Endpoint
	Version        string // of the engine
	API            string // the version that is spoken
	Runc           string // version, as the engine words it
	Containerd     string // version, as the engine words it
	OS             string // Debian GNU/Linux 12 (bookworm)
	KernelVersion  string
	Architecture   string // of the engine, in Go's words: amd64, arm64
	CgroupVersion  string // 1, 2
	CgroupDriver   string
	StorageDriver  string
	RootDir        string // where the engine keeps its data, on its own host
	Runtimes       []string
	DefaultRuntime string
	Security       []string // name=seccomp,profile=default
	LiveRestore    bool     // containers go on while the engine restarts
	CPUs           int
	MemoryBytes    int64
	Dropped        []string // limits of a container that the host does not enforce
	Warnings       []string // the engine's own
}

// Info asks the engine what it is and what its host can do.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	version, err := e.api.ServerVersion(limited)
	if err != nil {
		return Info{}, fmt.Errorf("ask the engine for its version: %w", e.kind(ctx, err))
	}
	host, err := e.api.Info(limited)
	if err != nil {
		return Info{}, fmt.Errorf("ask the engine about its host: %w", e.kind(ctx, err))
	}
	info := toInfo(version, host)
	info.Endpoint, info.API = e.endpoint, e.api.ClientVersion()
	return info, nil
}

func toInfo(version types.Version, host system.Info) Info {
	info := Info{
		Version:        version.Version,
		OS:             host.OperatingSystem,
		KernelVersion:  host.KernelVersion,
		Architecture:   version.Arch,
		CgroupVersion:  host.CgroupVersion,
		CgroupDriver:   host.CgroupDriver,
		StorageDriver:  host.Driver,
		RootDir:        host.DockerRootDir,
		Runtimes:       slices.Sorted(maps.Keys(host.Runtimes)),
		DefaultRuntime: host.DefaultRuntime,
		Security:       host.SecurityOptions,
		LiveRestore:    host.LiveRestoreEnabled,
		CPUs:           host.NCPU,
		MemoryBytes:    host.MemTotal,
		Dropped:        dropped(host),
		Warnings:       host.Warnings,
	}
	for _, part := range version.Components {
		switch part.Name {
		case "runc":
			info.Runc = part.Version
		case "containerd":
			info.Containerd = part.Version
		}
	}
	return info
}

// dropped names the limits of the profile that the host does not enforce.
func dropped(host system.Info) []string {
	var names []string
	for _, limit := range []struct {
		name     string
		enforced bool
	}{
		{"memory", host.MemoryLimit}, {"swap", host.SwapLimit}, {"pids", host.PidsLimit}, {"cpus", host.CPUCfsQuota},
	} {
		if !limit.enforced {
			names = append(names, limit.name)
		}
	}
	return names
}
