//go:build integration

package abusetest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	sdk "github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/orchestrator/docker"
)

var soakFor = flag.Duration("soak", 10*time.Second, "how long TestSoak keeps up its load")

// The population: veterans meet what a context has to survive, so that their containers last the whole soak; the others
// meet everything.
const (
	veterans = 2
	others   = 4
)

// plan is how long the parts of a soak take.
type plan struct {
	warmUp    time.Duration // load before anything is measured, so that what is made once has been made
	steady    time.Duration // load on one life of the server
	crashes   time.Duration // load on a server that is killed again and again
	killEvery time.Duration
	settle    time.Duration // rest before a measurement
}

// planOf divides the time. A settle beyond two minutes has the server's garbage collected even if it does nothing.
func planOf(d time.Duration) plan {
	killEvery := min(max(d/20, 3*time.Second), 30*time.Second)
	return plan{
		warmUp: d / 20, steady: d * 6 / 10, crashes: max(d*3/10, 2*killEvery), killEvery: killEvery,
		settle: min(max(d/10, 3*time.Second), 150*time.Second),
	}
}

// TestSoak keeps a server's contexts busy with work and faults of all kinds. It holds that every execution has its one
// true end, that no loss goes untold, and that the server and the engine at rest hold no more afterwards than before.
//
// The server's first life is there for its goroutines, which are told at the end of a life only; the second is looked at
// before and after the load; then the server is killed again and again under load.
func TestSoak(t *testing.T) {
	p := planOf(*soakFor)
	s := newSoak(t)
	s.server.start(t)
	s.fillJournals(t)
	s.load(t, p.warmUp, 0)
	s.rest(t, p.settle)
	before := s.server.quit(t)

	s.server.start(t)
	s.load(t, p.warmUp, 0)
	s.rest(t, p.settle)
	base := s.rested(t)
	s.load(t, p.steady, len(s.decks[false].cards))
	s.rest(t, p.settle)
	loaded := s.within(t, base)
	after := s.server.quit(t)

	s.server.start(t)
	s.loadAndKill(t, p)
	s.rest(t, p.settle)
	s.removeOrphans(t)
	crashed := s.within(t, base.ofTheEngine())
	afterCrashes := s.server.quit(t)

	t.Logf("at rest, with %d contexts:\n%s", veterans+others, table(base.census, loaded.census, crashed.census))
	t.Logf("goroutines at rest, by what they run:\n%s", goroutineTable(before, after, afterCrashes))
	t.Logf("what happened:\n%s", s.tally.String())
	require.Empty(t, loaded.growth(base.census), "growth over the load on one server")
	require.Empty(t, crashed.growth(base.ofTheEngine().census), "growth over the crashes")
	require.Empty(t, after.growth(before), "growth of goroutines over the load on one server")
	require.Empty(t, afterCrashes.growth(before), "growth of goroutines over the crashes")

	s.server.start(t)
	s.removeAll(t)
}

// soak is one server, its contexts, and what happened to them.
type soak struct {
	t         *testing.T
	server    *soakServer
	web       *server // sends requests to it
	docker    *sdk.Client
	instance  string
	residents []*resident
	decks     map[bool]*deck // for veterans, and for others
	tally     tally
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &soak{t: t, server: newSoakServer(t), docker: dial(t)}
	s.web = &server{client: &client.Client{URL: s.server.url()}, docker: s.docker, state: s.server.state}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.server.tellLogs())
		}
		s.server.end(syscall.SIGKILL)
		s.web.removeInstance(t)
		require.NoError(t, s.docker.Close())
	})
	random := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	s.decks = map[bool]*deck{true: newDeck(random(0), mild), false: newDeck(random(1), mild, deadly)}
	for i := range veterans + others {
		s.residents = append(s.residents, &resident{s: s, name: fmt.Sprintf("resident %d", i), veteran: i < veterans})
	}
	return s
}

// fillJournals makes the veterans' supervisors as large as they get: all that a journal keeps is full.
func (s *soak) fillJournals(t *testing.T) {
	t.Helper()
	s.instance = s.web.instance(t)
	for _, r := range s.residents[:veterans] {
		require.NoError(t, r.create(t.Context()))
		for range 16 {
			require.NoError(t, r.largeOutput(t.Context()))
			require.NoError(t, r.manyTiny(t.Context()))
		}
	}
}

// load lets all residents live for a while, and on until as many cards have been dealt to the others than the veterans.
func (s *soak) load(t *testing.T, d time.Duration, cards int) {
	t.Helper()
	living, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	began, dealt := time.Now(), s.decks[false].dealt
	var all sync.WaitGroup
	for _, r := range s.residents {
		enough := 0
		if !r.veteran {
			enough = dealt + cards
		}
		all.Go(func() { r.live(living, enough) })
	}
	progress := time.NewTicker(time.Minute)
	defer progress.Stop()
	ended := make(chan struct{})
	go func() { defer close(ended); all.Wait() }()
	for more := true; more; {
		select {
		case <-progress.C:
		case <-ended:
			more = false
		}
		t.Logf("after %v of load: %s", time.Since(began).Round(time.Second), s.tally.String())
	}
	require.False(t, t.Failed() && s.tally.tooMany(), "too many broken promises")
}

// loadAndKill is load on a server that is killed again and again. It is up afterwards.
func (s *soak) loadAndKill(t *testing.T, p plan) {
	t.Helper()
	crashing, stop := context.WithTimeout(t.Context(), p.crashes) // so that what is under way then can end
	defer stop()
	var failed error
	var killer sync.WaitGroup
	killer.Go(func() { failed = s.server.killEvery(crashing, p.killEvery, &s.tally) })
	s.load(t, p.crashes, 0)
	killer.Wait()
	require.NoError(t, failed)
}

// rest has every resident answer once more and then nothing happen for a while.
func (s *soak) rest(t *testing.T, d time.Duration) {
	t.Helper()
	for _, r := range s.residents {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		require.NoError(t, r.survive(ctx, r.probe), "%s, context %s, before a rest", r.name, r.id)
		if r.veteran {
			id, err := r.containerID(ctx)
			require.NoError(t, err)
			found, err := s.docker.ContainerInspect(ctx, id)
			require.NoError(t, err)
			r.pid = found.State.Pid
		}
		cancel()
	}
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(d)
}

// removeOrphans removes the contexts that came to be when the server's death cut off the answer that named them. There
// are no more than those.
func (s *soak) removeOrphans(t *testing.T) {
	t.Helper()
	known := map[string]bool{}
	for _, r := range s.residents {
		known[r.id] = true
	}
	list, err := s.web.client.List(t.Context())
	require.NoError(t, err)
	orphans := 0
	for _, cc := range list {
		if !known[cc.ID] {
			orphans++
			s.web.remove(t, cc.ID)
		}
	}
	t.Logf("%d of %d contexts whose answers were cut off are there", orphans, s.tally.orphans)
	require.LessOrEqual(t, orphans, s.tally.orphans)
	require.Len(t, list, len(s.residents)+orphans, "a context has gone")
	http.DefaultClient.CloseIdleConnections()
}

// removeAll removes the contexts, after which the engine has nothing of them but their workspace.
func (s *soak) removeAll(t *testing.T) {
	t.Helper()
	for _, r := range s.residents {
		s.web.remove(t, r.id)
	}
	require.Eventually(t, func() bool {
		ours := filters.NewArgs(filters.Arg("label", docker.LabelInstance+"="+s.instance))
		left, err := s.docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: ours})
		require.NoError(t, err)
		return len(left) == 0
	}, patience, 100*time.Millisecond, "containers are left")
}
