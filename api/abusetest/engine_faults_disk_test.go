//go:build integration

package abusetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"cubby/api/client"
	"cubby/api/wire"
	"cubby/orchestrator/docker"
)

// inside is the path by which this machine sees a file of the engine's.
func (e *privateEngine) inside(t *testing.T, path string) string {
	t.Helper()
	return filepath.Join(procFile(e.holder(t), "root"), path)
}

// fullEngine takes all room from the disk on which the engine keeps its data, and gives it back: blocks at first, then
// inodes.
func fullEngine(t *testing.T, e *privateEngine) {
	s := startServer(t)
	data := filepath.Join(e.dir, "data")
	id := s.create(t)
	require.Equal(t, "ok", s.run(t, id, "x = 41").ending)
	for _, scarce := range []string{"size", "nr_inodes"} {
		t.Run("F36 "+scarce, func(t *testing.T) {
			other := s.create(t)
			var disk unix.Statfs_t
			require.NoError(t, unix.Statfs(e.inside(t, data), &disk))
			whole, used := uint64(disk.Bsize)*disk.Blocks, uint64(disk.Bsize)*(disk.Blocks-disk.Bfree)
			if scarce == "nr_inodes" {
				whole, used = disk.Files, disk.Files-disk.Ffree
			}
			e.within(t, "mount", "-o", fmt.Sprintf("remount,%s=%d", scarce, used), data)
			_, err := s.client.Create(t.Context(), wire.CreateContext{})
			require.ErrorIs(t, err, client.ErrUnavailable)
			require.ErrorContains(t, err, "out of disk space")
			require.Equal(t, "42", s.run(t, id, "x + 1").text)
			s.remove(t, other)
			containers, _ := s.onEngine(t)
			require.Len(t, containers, 1, "neither the removed one nor one that could not be made")

			e.within(t, "mount", "-o", fmt.Sprintf("remount,%s=%d", scarce, whole), data)
			created := s.create(t)
			require.Equal(t, "2", s.run(t, created, "1 + 1").text)
			s.remove(t, created)
		})
	}
	require.Equal(t, "42", s.run(t, id, "x + 1").text)
}

// fullServer fills the disk on which the server keeps its state, and makes room again.
func fullServer(t *testing.T, e *privateEngine) {
	s := startServer(t)
	s.kill(t)
	s.removeInstance(t)
	dir := filepath.Join(e.dir, "state")
	e.within(t, "mkdir", dir)
	e.within(t, "mount", "-t", "tmpfs", "-o", "size=1m", "cubby-state", dir)
	s.state = e.inside(t, dir)
	s.start(t)
	id, other := s.create(t), s.create(t)
	require.Equal(t, "ok", s.run(t, id, "x = 41").ending)
	ballast := filepath.Join(s.state, "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600), unix.ENOSPC)

	began := time.Now()
	long := wire.CreateContext{EnvVars: map[string]string{"LONG": strings.Repeat("x", 64<<10)}} // has to take new room
	_, err := s.client.Create(t.Context(), long)
	require.ErrorIs(t, err, client.ErrUnavailable)
	require.ErrorContains(t, err, "out of disk space")
	require.Zero(t, s.created(t, began), "what cannot be noted is not begun")
	require.Equal(t, "42", s.run(t, id, "x + 1").text)
	s.remove(t, other)
	containers, _ := s.onEngine(t)
	require.Len(t, containers, 1)

	require.NoError(t, os.Remove(ballast))
	created, err := s.client.Create(t.Context(), long)
	require.NoError(t, err)
	s.kill(t)
	s.start(t)
	list, err := s.client.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "42", s.run(t, id, "x + 1").text)
	require.Equal(t, "65536", s.run(t, created.ID, "import os; len(os.environ['LONG'])").text)
}

// created counts the containers that the engine has made for this server since a moment.
func (s *server) created(t *testing.T, since time.Time) int {
	t.Helper()
	happened, ended := s.docker.Events(t.Context(), events.ListOptions{
		Since: stamp(since), Until: stamp(time.Now()),
		Filters: filters.NewArgs(filters.Arg("label", docker.LabelInstance+"="+s.instance(t)),
			filters.Arg("event", string(events.ActionCreate))),
	})
	for n := 0; ; n++ {
		select {
		case <-happened:
		case <-ended:
			return n
		}
	}
}

// stamp is a time as the engine's filters take it.
func stamp(at time.Time) string { return strconv.FormatFloat(float64(at.UnixNano())/1e9, 'f', 9, 64) }
