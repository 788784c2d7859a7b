//go:build integration

package abusetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	sdk "github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator/docker"
)

// box is a container as its host sees it.
type box struct {
	id      string
	pid     int // of PID 1, on the host
	docker  *sdk.Client
	cgroups map[string]string // the directory of each controller; version 2 has one directory, under ""
}

// endpoint is the engine that the server finds.
func endpoint(t *testing.T) docker.Endpoint {
	t.Helper()
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	found, err := docker.Find(context.WithoutCancel(t.Context()), docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), ConfigDir: os.Getenv("DOCKER_CONFIG"),
		Home: home, RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
	})
	require.NoError(t, err)
	return found
}

// dial returns a client of the engine.
func dial(t *testing.T) *sdk.Client {
	t.Helper()
	c, err := sdk.NewClientWithOpts(sdk.WithHost(endpoint(t).Host), sdk.WithAPIVersionNegotiation())
	require.NoError(t, err)
	return c
}

// container finds the container in which a context lives now. It asks the context for its host name, which is the
// beginning of the container's id: ask before an attack.
func (s *server) container(t *testing.T, id string) *box {
	t.Helper()
	return s.containerOf(t, s.run(t, id, python.host).answer())
}

// containerOf finds a container by its host name.
func (s *server) containerOf(t *testing.T, name string) *box {
	t.Helper()
	require.Regexp(t, "^[0-9a-f]{12}$", name)
	found, err := s.docker.ContainerInspect(t.Context(), name)
	require.NoError(t, err)
	b := &box{id: found.ID, pid: found.State.Pid, docker: s.docker, cgroups: map[string]string{}}
	require.Positive(t, b.pid)
	groups, err := os.ReadFile(procFile(b.pid, "cgroup"))
	require.NoError(t, err)
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for controller := range strings.SplitSeq(fields[1], ",") {
			b.cgroups[controller] = fields[2]
		}
	}
	return b
}

func procFile(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// inspect is what the engine tells of the container.
func (b *box) inspect(t *testing.T) container.InspectResponse {
	t.Helper()
	found, err := b.docker.ContainerInspect(t.Context(), b.id)
	require.NoError(t, err)
	return found
}

// cgroupFile is the path of a file in a control group of the container.
func (b *box) cgroupFile(controller, name string) string {
	if path, v1 := b.cgroups[controller]; v1 {
		return filepath.Join("/sys/fs/cgroup", controller, path, name)
	}
	return filepath.Join("/sys/fs/cgroup", b.cgroups[""], name)
}

// isV1 says whether the host's control groups are version 1.
func (b *box) isV1() bool { _, v1 := b.cgroups["memory"]; return v1 }

// read reads the number in a file of a control group, or the one after a name in a file of "name number" lines.
func (b *box) read(controller, file, name string) (int64, error) {
	text, err := os.ReadFile(b.cgroupFile(controller, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); name == "" || fields[0] == name {
			return strconv.ParseInt(fields[len(fields)-1], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, file)
}

// number is read where the number has to be there.
func (b *box) number(t *testing.T, controller, file, name string) int64 {
	t.Helper()
	n, err := b.read(controller, file, name)
	require.NoError(t, err)
	return n
}

// readOOMKills is how many of the container's processes died for want of memory.
func (b *box) readOOMKills() (int64, error) {
	if b.isV1() {
		return b.read("memory", "memory.oom_control", "oom_kill")
	}
	return b.read("memory", "memory.events", "oom_kill")
}

// memory is how much memory the container uses, that of the host's kernel included.
func (b *box) memory(t *testing.T) int64 {
	t.Helper()
	if b.isV1() {
		return b.number(t, "memory", "memory.usage_in_bytes", "")
	}
	return b.number(t, "memory", "memory.current", "")
}

// processorTime is what the container's processes have used.
func (b *box) processorTime(t *testing.T) time.Duration {
	t.Helper()
	if b.isV1() {
		return time.Duration(b.number(t, "cpuacct", "cpuacct.usage", ""))
	}
	return time.Duration(b.number(t, "cpu", "cpu.stat", "usage_usec")) * time.Microsecond
}

// process is one process of a container, as its host sees it.
type process struct {
	pid, parent int
	name        string
	state       string // R, S, T, Z, …
}

// processes are those of the container, zombies included. It needs no help of the engine, and the container may be gone.
func (b *box) processes(t *testing.T) []process {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	var found []process
	for _, dir := range all {
		groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil || !bytes.Contains(groups, []byte(b.id)) {
			continue
		}
		if p, ok := readProcess(dir); ok {
			found = append(found, p)
		}
	}
	return found
}

// readProcess reads what /proc tells of a process, unless it has gone.
func readProcess(dir string) (p process, ok bool) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat")) // "12 (a name) S 1 …"
	if err != nil {
		return p, false
	}
	open, closing := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	rest := strings.Fields(string(stat[closing+1:]))
	p.pid, _ = strconv.Atoi(filepath.Base(dir))
	p.parent, _ = strconv.Atoi(rest[1])
	p.name, p.state = string(stat[open+1:closing]), rest[0]
	return p, true
}

// kernel is the interpreter: the child of PID 1 that is not a bridge.
func (b *box) kernel(t *testing.T) process {
	t.Helper()
	for _, p := range b.processes(t) {
		if p.parent == b.pid && p.name != "supervisor" {
			return p
		}
	}
	require.Fail(t, "no kernel", "%+v", b.processes(t))
	return process{}
}

// cores are the core files in the places where code of the container can write.
func (b *box) cores(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, dir := range []string{"home/user", "tmp", "dev/shm"} {
		files, err := filepath.Glob(filepath.Join(procFile(b.pid, "root"), dir, "core*"))
		require.NoError(t, err)
		found = append(found, files...)
	}
	return found
}

// isGone reports whether the engine knows the container no more.
func (b *box) isGone(ctx context.Context) bool {
	_, err := b.docker.ContainerInspect(ctx, b.id)
	return errdefs.IsNotFound(err)
}

// hasControlGroup reports whether the host still keeps the container's control group, empty or not.
func (b *box) hasControlGroup() bool {
	_, err := os.Stat(b.cgroupFile("memory", ""))
	return !errors.Is(err, fs.ErrNotExist)
}

// onEngine are the ids of this server's containers and the names of its volumes.
func (s *server) onEngine(t *testing.T) (containers, volumes []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	ours := filters.NewArgs(filters.Arg("label", docker.LabelInstance+"="+s.instance(t)))
	found, err := s.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	require.NoError(t, err)
	for _, c := range found {
		containers = append(containers, c.ID)
	}
	kept, err := s.docker.VolumeList(ctx, volume.ListOptions{Filters: ours})
	require.NoError(t, err)
	for _, v := range kept.Volumes {
		volumes = append(volumes, v.Name)
	}
	slices.Sort(containers)
	slices.Sort(volumes)
	return containers, volumes
}
