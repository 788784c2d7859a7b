//go:build integration

package abusetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"
)

// TestTouched: what others do to a container that does not end it costs nothing.
func TestTouched(t *testing.T) {
	s := startServer(t)
	t.Run("F30 kill -9 of the bridge from the host", func(t *testing.T) { killBridges(t, newArena(t, s)) })
	t.Run("F31 renamed, disconnected, its limits changed", func(t *testing.T) { touch(t, newArena(t, s)) })
}

// numbers is what counting code prints.
func numbers(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintln(&out, i)
	}
	return out.String()
}

// killBridges kills the bridge of a counting context a few times: the stream goes on, complete, in the same kernel.
func killBridges(t *testing.T, a *arena) {
	stop := a.watch(t)
	kernel := a.box.kernel(t).pid
	const n, kills = 500, 4
	st := a.begin(t, a.attacked, fmt.Sprintf(counting, n))
	for i := range kills {
		mark := fmt.Sprintf("\n%d\n", (i+1)*n/(kills+2))
		st.until(t, func(o outcome) bool { return strings.Contains(o.stdout, mark) })
		bridges := a.box.bridges(t)
		require.NotEmpty(t, bridges, "the positive control: there is a bridge to kill")
		for _, b := range bridges {
			slay(t, b.pid)
		}
	}
	got := st.wait(t)
	require.Equal(t, "ok", got.ending, "%+v", got)
	require.Equal(t, numbers(n), got.stdout)
	require.Zero(t, got.gaps)
	a.settle(t, got)
	require.Equal(t, kernel, a.box.kernel(t).pid)
	require.Eventually(t, func() bool { return len(a.box.bridges(t)) == 1 }, patience, probeEvery, "one bridge")
	stop()
}

// touch changes what can be changed of a container that runs, and lets it change names with its neighbour's.
func touch(t *testing.T, a *arena) {
	stop := a.watch(t)
	const n = 300
	neighbour := a.container(t, a.neighbour)
	names := []string{a.box.inspect(t).Name, neighbour.inspect(t).Name}
	st := a.begin(t, a.attacked, fmt.Sprintf(counting, n))
	st.started(t)
	d := a.docker
	require.NoError(t, d.ContainerRename(patient(t), a.box.id, "renamed-"+a.box.id[:12]))
	require.NoError(t, d.ContainerRename(patient(t), neighbour.id, names[0]))
	require.NoError(t, d.ContainerRename(patient(t), a.box.id, names[1]))
	require.NoError(t, d.NetworkDisconnect(patient(t), "none", a.box.id, true))
	limits := a.box.inspect(t).HostConfig.Resources
	pids := *limits.PidsLimit + 1
	_, err := d.ContainerUpdate(patient(t), a.box.id, container.UpdateConfig{Resources: container.Resources{
		Memory: limits.Memory + 1<<20, MemorySwap: limits.MemorySwap + 1<<20, PidsLimit: &pids,
	}})
	require.NoError(t, err)
	most := a.box.number(t, "pids", "pids.max", "")
	require.Equal(t, pids, most, "the positive control: the limit has changed")
	got := st.wait(t)
	require.Equal(t, "ok", got.ending, "%+v", got)
	require.Equal(t, numbers(n), got.stdout)
	a.settle(t, got)
	stop()

	a.crash(t)
	a.requireIntact(t, a.attacked)
	a.requireIntact(t, a.neighbour)
	a.restart(t, a.attacked)
	a.box.requireGone(t)
	fresh := a.run(t, a.attacked, "x + 1")
	require.Equal(t, "NameError", fresh.errName)
	a.requireIntact(t, a.neighbour)
	require.Equal(t, neighbour.id, a.container(t, a.neighbour).id)
	a.box = a.container(t, a.attacked)
}

// TestPaused: a container that somebody pauses, idle or busy, for longer than a bridge bears silence, goes on where it
// was. One that stays paused can be restarted and removed.
func TestPaused(t *testing.T) {
	s := startServer(t)
	t.Run("F29 docker pause", func(t *testing.T) {
		busy, idle := newArena(t, s), newArena(t, s)
		stop := busy.watch(t)
		const n = 300
		st := busy.begin(t, busy.attacked, fmt.Sprintf(counting, n))
		st.until(t, func(o outcome) bool { return strings.Contains(o.stdout, "\n20\n") })
		for _, a := range []*arena{busy, idle} {
			require.NoError(t, a.docker.ContainerPause(patient(t), a.box.id))
		}
		time.Sleep(25 * time.Second)
		for _, a := range []*arena{busy, idle} {
			require.NotEqual(t, "lost", a.detail(t, a.attacked).State)
			require.NoError(t, a.docker.ContainerUnpause(patient(t), a.box.id))
		}
		got := st.wait(t)
		require.Equal(t, "ok", got.ending, "%+v", got)
		require.Equal(t, numbers(n), got.stdout)
		busy.settle(t, got)
		idle.requireIntact(t, idle.attacked)

		st = busy.begin(t, busy.attacked, sleeping)
		st.until(t, isOn)
		for _, a := range []*arena{busy, idle} {
			require.NoError(t, a.docker.ContainerPause(patient(t), a.box.id))
		}
		busy.restart(t, busy.attacked)
		got = st.wait(t)
		require.Equal(t, "restarted", got.ending, "%+v", got)
		busy.settle(t, got)
		busy.box.requireGone(t)
		stop()
		id := idle.attacked
		idle.attacked = s.create(t) // for the arena's end
		s.remove(t, id)
		idle.box.requireGone(t)
		require.NotContains(t, s.ids(t), id)
	})
}
