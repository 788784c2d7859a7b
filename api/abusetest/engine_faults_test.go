//go:build integration && linux

package abusetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
)

// endlessCount prints a number every hundredth of a second, without end.
const endlessCount = "import time, itertools\nfor n in itertools.count():\n    print(n, flush=True); time.sleep(0.01)"

// TestEngineFaults ends an engine, and parts of it, under contexts that work, takes its disk and its registries away,
// while a neighbour on the machine's engine has to go on.
func TestEngineFaults(t *testing.T) {
	undisturbed := startServer(t)
	neighbour := &arena{server: undisturbed, neighbour: undisturbed.create(t)}
	require.Equal(t, "ok", undisturbed.run(t, neighbour.neighbour, "x = 41").ending)
	e := startPrivateEngine(t)
	for _, row := range []struct {
		name string
		args []string // of dockerd
		run  func(*testing.T, *privateEngine)
	}{
		{"F13 a restart of dockerd", nil, func(t *testing.T, e *privateEngine) {
			f := newEngineFault(t, e)
			f.loses(t, "exited with code 137", func() { e.stop(t); f.refuses(t); e.start(t) })
		}},
		{"F15 kill -9 of dockerd", nil, func(t *testing.T, e *privateEngine) {
			f := newEngineFault(t, e)
			f.loses(t, "its container ended while the engine was away: exited with code 137",
				func() { e.kill(t); f.refuses(t); e.start(t) })
		}},
		{"F14 a restart of dockerd with live-restore", []string{"--live-restore"}, func(t *testing.T, e *privateEngine) {
			f := newEngineFault(t, e)
			f.keeps(t, func() { e.stop(t); f.refuses(t); e.start(t, "--live-restore") })
		}},
		{"F15 kill -9 of dockerd with live-restore", []string{"--live-restore"}, func(t *testing.T, e *privateEngine) {
			f := newEngineFault(t, e)
			f.keeps(t, func() { e.kill(t); f.refuses(t); e.start(t, "--live-restore") })
		}},
		{"F16 kill -9 of containerd", nil, func(t *testing.T, e *privateEngine) {
			newEngineFault(t, e).keeps(t, func() {
				pids := e.pids(t, "containerd")
				require.Len(t, pids, 1)
				e.killProcess(t, pids[0])
			})
		}},
		{"F16 kill -9 of a shim", nil, func(t *testing.T, e *privateEngine) { newEngineFault(t, e).losesShim(t) }},
		{"F35 registries that fail", nil, failingRegistries},
		{"F36 a full disk of the engine", nil, fullEngine},
		{"F36 a full disk of the server", nil, fullServer},
	} {
		t.Run(row.name, func(t *testing.T) {
			if e.pids(t, "dockerd") == nil || !slices.Equal(e.args, row.args) {
				e.stop(t)
				e.start(t, row.args...)
			}
			stop := neighbour.watch(t)
			defer stop()
			row.run(t, e)
		})
	}
}

// engineFault is a server on a private engine with two contexts, both with x = 41: one that counts, and one that is idle.
type engineFault struct {
	*server
	engine     *privateEngine
	busy, idle string
	counting   *stream
	busyBox    *box
	idleBox    *box
}

func newEngineFault(t *testing.T, e *privateEngine) *engineFault {
	t.Helper()
	s := startServer(t)
	f := &engineFault{server: s, engine: e, busy: s.create(t), idle: s.create(t)}
	for _, id := range []string{f.busy, f.idle} {
		require.Equal(t, "ok", f.run(t, id, "x = 41").ending)
	}
	f.busyBox, f.idleBox = f.container(t, f.busy), f.container(t, f.idle)
	f.counting = f.begin(t, f.busy, endlessCount)
	f.counting.until(t, func(o outcome) bool { return strings.Contains(o.stdout, "20\n") })
	return f
}

// refuses holds that without an engine the server answers, loses nothing and makes nothing.
func (f *engineFault) refuses(t *testing.T) {
	t.Helper()
	require.NoError(t, f.client.Health(t.Context()))
	_, err := f.client.Create(t.Context(), wire.CreateContext{})
	require.ErrorIs(t, err, client.ErrUnavailable)
	list, err := f.client.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
}

// createOnce creates a context as soon as that is refused no more, of which only one kind of refusal is waited out.
func (s *server) createOnce(t *testing.T, refusal error) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(probeEvery) {
		cc, err := s.client.Create(t.Context(), wire.CreateContext{})
		if err == nil {
			return cc.ID
		}
		require.ErrorIs(t, err, refusal)
		require.True(t, time.Now().Before(deadline), "%v", err)
	}
}

// loses holds that a fault that ends all containers is told: to the execution under way at once, to the idle context by
// its next execution, once; and that new contexts can be made as soon as the engine is back. An engine that ends in order
// may still tell itself of the containers that it has ended.
func (f *engineFault) loses(t *testing.T, reason string, fault func()) {
	t.Helper()
	fault()
	created := f.create(t) // at once
	require.Equal(t, "2", f.run(t, created, "1 + 1").text)

	f.isLost(t, f.counting.wait(t))
	for _, id := range []string{f.busy, f.idle} {
		require.Eventually(t, func() bool { return f.detail(t, id).State == "lost" }, patience, probeEvery)
		require.Contains(t, f.detail(t, id).Reason, reason)
	}
	untold := f.run(t, f.idle, "x = 1")
	f.isLost(t, untold)
	require.Zero(t, untold.count, "it is not run")
	for _, id := range []string{f.busy, f.idle} {
		require.Equal(t, "NameError", f.run(t, id, "x").errName)
		require.Equal(t, 2, f.detail(t, id).Generation)
	}
	require.Eventually(t, func() bool {
		left, _ := f.onEngine(t)
		return len(left) == 3
	}, patience, probeEvery, "the dead containers are removed")
}

func (f *engineFault) isLost(t *testing.T, got outcome) {
	t.Helper()
	require.Equal(t, "lost", got.ending)
	require.Equal(t, "lost", got.state)
	require.Equal(t, "ContextLost", got.errName)
	t.Log(got.errValue)
}

// keeps holds that a fault touches no context: the same interpreters with their variables, all output, new contexts, and
// no bridge left over.
func (f *engineFault) keeps(t *testing.T, fault func()) {
	t.Helper()
	before := map[*box]process{f.busyBox: f.busyBox.kernel(t), f.idleBox: f.idleBox.kernel(t)}
	fault()
	created := f.createOnce(t, client.ErrUnavailable)
	require.Equal(t, "2", f.run(t, created, "1 + 1").text)

	read := strings.Count(f.counting.got.stdout, "\n")
	f.counting.until(t, func(o outcome) bool { return strings.Count(o.stdout, "\n") > read+500 })
	f.interrupt(t, f.busy)
	got := f.counting.wait(t)
	require.Equal(t, "interrupted", got.ending)
	require.Zero(t, got.gaps)
	for i, line := range strings.Split(strings.TrimSpace(got.stdout), "\n") {
		require.Equal(t, fmt.Sprint(i), line)
	}
	for _, id := range []string{f.busy, f.idle} {
		require.Equal(t, "42", f.run(t, id, "x + 1").text)
		require.Equal(t, 1, f.detail(t, id).Generation)
	}
	for b, kernel := range before {
		now := b.kernel(t)
		require.Equal(t, kernel.pid, now.pid)
		require.Eventually(t, func() bool { return len(b.bridges(t)) == 1 }, patience, probeEvery, "bridges")
	}
}

// losesShim holds that a container without its shim is lost, that its removal ends, and that others do not notice.
func (f *engineFault) losesShim(t *testing.T) {
	t.Helper()
	f.engine.killProcess(t, f.engine.shimOf(t, f.busyBox.id))
	f.isLost(t, f.counting.wait(t))
	require.Equal(t, "42", f.run(t, f.idle, "x + 1").text)
	require.Eventually(t, func() bool { return f.detail(t, f.busy).State == "lost" }, patience, probeEvery)
	require.NotEmpty(t, f.detail(t, f.busy).Reason)
	began := time.Now()
	f.remove(t, f.busy)
	t.Logf("the removal took %v", time.Since(began))
	require.Eventually(t, func() bool { return f.busyBox.isGone(t.Context()) && len(f.busyBox.processes(t)) == 0 },
		patience, probeEvery)
}
