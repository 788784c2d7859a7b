//go:build integration

package abusetest

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"
)

// blow is what somebody else does to a container, by which its variables are lost.
type blow struct {
	name   string
	strike func(t *testing.T, b *box)
	reason string // what the context's user is told of it, as a regular expression
}

var blows = []blow{
	{"F27 docker kill", func(t *testing.T, b *box) {
		require.NoError(t, b.docker.ContainerKill(patient(t), b.id, "KILL"))
	}, "137"},
	{"F27 docker stop", func(t *testing.T, b *box) {
		soon := 1 // second, for a PID 1 that obeys no signal
		require.NoError(t, b.docker.ContainerStop(patient(t), b.id, container.StopOptions{Timeout: &soon}))
	}, "137"},
	{"F27 docker rm", func(t *testing.T, b *box) {
		require.NoError(t, b.docker.ContainerRemove(patient(t), b.id, container.RemoveOptions{Force: true}))
	}, "its container was removed|removal in progress|137"}, // as the server finds it: a forced removal kills first
	{"F28 docker restart", func(t *testing.T, b *box) {
		soon := 1
		err := b.docker.ContainerRestart(patient(t), b.id, container.StopOptions{Timeout: &soon})
		if !b.isGone(patient(t)) { // a server that sees it end before it starts again removes it
			require.NoError(t, err)
		}
	}, "restarted by somebody else|137"},
	{"F30 kill -9 of PID 1 from the host", func(t *testing.T, b *box) { slay(t, b.pid) }, "137"},
}

// TestBlows: what others do to a container ends its execution as lost, or is told by the next one; the one after that
// runs in a new container. In between nobody is shown a fresh interpreter.
func TestBlows(t *testing.T) {
	s := startServer(t)
	for _, blow := range blows {
		t.Run(blow.name, func(t *testing.T) {
			a := newArena(t, s)
			stop := a.watch(t)

			st := a.begin(t, a.attacked, sleeping)
			st.until(t, isOn)
			first := a.box
			blow.strike(t, first)
			got := st.wait(t)
			require.Equal(t, "lost", got.ending, "%+v", got)
			require.Equal(t, "lost", got.state)
			require.Equal(t, "ContextLost", got.errName)
			require.Regexp(t, blow.reason, got.errValue)
			a.settle(t, got)
			first.requireGone(t)

			before := a.run(t, a.attacked, "x = 41")
			require.Equal(t, "preserved", before.state)
			a.box = a.container(t, a.attacked)
			require.NotEqual(t, first.id, a.box.id)
			second := a.box
			blow.strike(t, second)
			a.requireLost(t, a.attacked, blow.reason)
			a.settle(t, before)
			second.requireGone(t)
			a.box = a.container(t, a.attacked)
			stop()
		})
	}
}

// TestBlowsWhileNoServerRuns: the next server tells of them as well; it removes what is left, and touches nobody else.
func TestBlowsWhileNoServerRuns(t *testing.T) {
	s := startServer(t)
	a := newArena(t, s) // that nothing befalls
	boxes := make([]*box, len(blows))
	ids := make([]string, len(blows))
	before := make([]outcome, len(blows))
	for i := range blows {
		ids[i] = s.create(t)
		boxes[i] = s.container(t, ids[i])
		before[i] = s.run(t, ids[i], "x = 41")
	}
	s.kill(t)
	for i, blow := range blows {
		blow.strike(t, boxes[i])
	}
	s.start(t)
	for i, blow := range blows {
		t.Run(blow.name, func(t *testing.T) {
			s.requireLost(t, ids[i], blow.reason)
			told := s.run(t, ids[i], "x + 1")
			require.Equal(t, "lost", told.ending, "%+v", told)
			fresh := s.run(t, ids[i], "x + 1")
			require.Equal(t, "NameError", fresh.errName, "%+v", fresh)
			require.Greater(t, fresh.generation, before[i].generation)
			boxes[i].requireGone(t)
			s.remove(t, ids[i])
		})
	}
	s.requireIntact(t, a.neighbour)
	s.requireIntact(t, a.attacked)
	require.Equal(t, a.box.id, s.container(t, a.attacked).id)
}

// requireLost holds that a context is listed as lost, with the reason, before anybody asks.
func (s *server) requireLost(t *testing.T, id, reason string) {
	t.Helper()
	require.Eventually(t, func() bool { return s.detail(t, id).State == "lost" }, patience, probeEvery)
	require.Regexp(t, reason, s.detail(t, id).Reason)
	require.Contains(t, s.ids(t), id)
}
