//go:build integration

package abusetest

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator/docker"
)

// sight is one look at the server and the engine.
type sight struct {
	census
	foreign string // the containers of others, which explain what dockerd holds
}

// rested looks until two looks in a row see the same, memory aside, as removals go on behind their callers' backs.
func (s *soak) rested(t *testing.T) sight {
	t.Helper()
	last := s.look(t)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		time.Sleep(time.Second)
		now := s.look(t)
		if maps.Equal(now.counts(), last.counts()) {
			return now
		}
		last = now
	}
	return last
}

// ofTheEngine leaves out what says something of one life of the server only.
func (g sight) ofTheEngine() sight {
	g.census = maps.Clone(g.census)
	delete(g.census, serverFDs)
	delete(g.census, serverRSS)
	return g
}

// counts leaves memory out, which is never at rest, and what others have a part in.
func (g sight) counts() census {
	kept := maps.Clone(g.census)
	maps.DeleteFunc(kept, func(f figure, _ int64) bool {
		return strings.HasSuffix(string(f), "(KiB)") || f == dockerdFDs || f == mounts
	})
	return kept
}

// within looks until nothing has grown or patience ends. Figures of the engine that others have a part in are kept only
// if the others are the same as before.
func (s *soak) within(t *testing.T, base sight) sight {
	t.Helper()
	var now sight
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		now = s.look(t)
		if now.foreign != base.foreign {
			for _, f := range []figure{dockerdFDs, dockerdRSS, mounts} {
				delete(now.census, f)
			}
		}
		if len(now.growth(base.census)) == 0 || time.Now().After(deadline) {
			return now
		}
	}
}

// look counts everything once.
func (s *soak) look(t *testing.T) sight {
	t.Helper()
	ctx := t.Context()
	seen := sight{census: census{}}
	all, err := s.docker.ContainerList(ctx, container.ListOptions{All: true})
	require.NoError(t, err)
	var foreign []string
	for _, c := range all {
		if c.Labels[docker.LabelInstance] != s.instance {
			foreign = append(foreign, c.ID)
			continue
		}
		seen.census[containers]++
		found, err := s.docker.ContainerInspect(ctx, c.ID)
		require.NoError(t, err)
		seen.census[execs] += int64(len(found.ExecIDs))
	}
	seen.foreign = strings.Join(slices.Sorted(slices.Values(foreign)), " ")
	ours := filters.NewArgs(filters.Arg("label", docker.LabelInstance+"="+s.instance))
	vols, err := s.docker.VolumeList(ctx, volume.ListOptions{Filters: ours})
	require.NoError(t, err)
	nets, err := s.docker.NetworkList(ctx, network.ListOptions{Filters: ours})
	require.NoError(t, err)
	seen.census[volumes], seen.census[networks] = int64(len(vols.Volumes)), int64(len(nets))
	s.lookAtProcesses(t, seen.census)
	return seen
}

// lookAtProcesses counts what processes hold. Those of other users are seen by root alone.
func (s *soak) lookAtProcesses(t *testing.T, seen census) {
	t.Helper()
	count := func(pid int, fds, rss figure) {
		if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
			seen[fds] += int64(len(entries))
		}
		if kib, ok := rssOf(pid); ok {
			seen[rss] += kib
		}
	}
	count(s.server.pid(), serverFDs, serverRSS)
	require.Positive(t, seen[serverRSS])
	if pid, ok := s.dockerd(t); ok {
		count(pid, dockerdFDs, dockerdRSS)
	}
	if raw, err := os.ReadFile("/proc/mounts"); err == nil {
		seen[mounts] = int64(bytes.Count(raw, []byte("\n")))
	}
	for _, r := range s.residents {
		if !r.veteran {
			continue
		}
		count(r.pid, supervisorFDs, supervisorRSS)
		for _, child := range children(r.pid) {
			if kib, ok := rssOf(child); ok {
				seen[kernelRSS] += kib
			}
		}
	}
}

// rssOf returns the memory that a process has in use, in KiB.
func rssOf(pid int) (kib int64, ok bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(raw), "\nVmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, false // a zombie has none
	}
	kib, err = strconv.ParseInt(fields[0], 10, 64)
	return kib, err == nil
}

// children returns the processes that a process has started.
func children(pid int) (pids []int) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // none where the kernel does not tell
	for _, field := range strings.Fields(string(raw)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// dockerd finds the engine's process: the one that listens on its socket, if that is a local one.
func (s *soak) dockerd(t *testing.T) (pid int, ok bool) {
	t.Helper()
	path, local := strings.CutPrefix(s.docker.DaemonHost(), "unix://")
	if !local {
		return 0, false
	}
	conn, err := net.Dial("unix", path) //nolint:noctx // a local socket
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	require.NoError(t, err)
	var peer *syscall.Ucred
	var asking error
	require.NoError(t, raw.Control(func(fd uintptr) {
		peer, asking = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}))
	require.NoError(t, asking)
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", peer.Pid))
	return int(peer.Pid), err == nil && string(name) == "dockerd\n"
}
