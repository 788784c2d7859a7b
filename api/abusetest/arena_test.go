//go:build integration

package abusetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// probeEvery is the pause between two looks at what must not notice an attack.
const probeEvery = 100 * time.Millisecond

// arena is a context to attack and a neighbour that must not notice, both with x = 41. What holds of every attack is
// checked by it:
//
//	I1  /health answers              I4  the attacked context answers again, and lost state was said
//	I2  the neighbour answers        I5  after the removal nothing of it is left on the engine
//	I3  one ending, within patience  I6  the engine answers
//	                                 I7  no core file, no process is left on the host
//
// "Answers" has no deadline but patience: latencies are logged, since a slow machine is no fault.
type arena struct {
	*server
	tongue              // of the attacked context; the neighbour speaks Python
	attacked, neighbour string
	box                 *box // the attacked context's container before the attack
}

// newArena makes both contexts. At the end of the test they are removed, and what is left of them is looked for.
func newArena(t *testing.T, s *server) *arena { t.Helper(); return newArenaIn(t, s, python) }

// newArenaIn is newArena with an attacked context of another language.
func newArenaIn(t *testing.T, s *server, in tongue) *arena {
	t.Helper()
	a := &arena{server: s, tongue: in, attacked: s.createIn(t, in.language), neighbour: s.create(t)}
	require.Equal(t, "ok", s.run(t, a.neighbour, python.set).ending)
	a.again(t)
	t.Cleanup(func() { a.leave(t) })
	return a
}

// attack runs code in the attacked context while it watches everybody else, and returns its outcome once the attacked
// context has answered again.
func (a *arena) attack(t *testing.T, code string, more ...wire.Execute) outcome {
	t.Helper()
	stop := a.watch(t)
	got := a.run(t, a.attacked, code, more...)
	a.settle(t, got)
	stop()
	return got
}

// watch looks at the health of the server (I1), at the neighbour (I2) and at the engine (I6) until the returned function
// is called, which fails the test if one of them did not answer.
func (a *arena) watch(t *testing.T) (stop func()) {
	t.Helper()
	// Not the test's, which ends before its clean-up does: what is under way then has to be answered, too.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var watching sync.WaitGroup
	finish := make(chan struct{})
	probes := map[string]func(context.Context) error{"I1 health": a.client.Health, "I2 neighbour": a.askNeighbour, "I6 engine": a.pingEngine}
	latencies := make(chan string, len(probes))
	failures := make(chan error, len(probes))
	for name, probe := range probes {
		watching.Go(func() {
			var took []time.Duration
			defer func() {
				slices.Sort(took)
				latencies <- fmt.Sprintf("%s: %d answers, median %v, slowest %v", name, len(took), took[len(took)/2], took[len(took)-1])
			}()
			for {
				began := time.Now()
				limited, cancel := context.WithTimeout(ctx, patience)
				err := probe(limited)
				cancel()
				took = append(took, time.Since(began))
				if err != nil {
					failures <- fmt.Errorf("%s: %w", name, err)
					return
				}
				select {
				case <-finish:
					return
				case <-time.After(probeEvery):
				}
			}
		})
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			close(finish)
			watching.Wait()
			cancel()
			close(latencies)
			close(failures)
			for line := range latencies {
				t.Log(line)
			}
			for err := range failures {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop) // of a test that failed before it stopped
	return stop
}

func (a *arena) askNeighbour(ctx context.Context) error {
	st, err := a.execute(ctx, request(a.neighbour, python.ask))
	if err != nil {
		return err
	}
	defer st.leave()
	got, err := st.all()
	if err == nil && got.text != "42" {
		err = fmt.Errorf("x + 1 is not 42: %+v", got)
	}
	return err
}

func (a *arena) pingEngine(ctx context.Context) error {
	_, err := a.docker.Ping(ctx)
	return err
}

// settle holds that the attacked context answers after an outcome (I4): with its variables if those were said to be
// preserved, without them once they were said to be lost. A kernel that the attack left unfit may die of the question, if
// it says so.
func (a *arena) settle(t *testing.T, before outcome) outcome {
	t.Helper()
	got := a.run(t, a.attacked, a.ask, wire.Execute{TimeoutMS: 30_000})
	t.Logf("ended %s (%s) after %v with %q %q; the next call %s (%s) after %v", before.ending, before.state, before.took,
		before.errName, before.errValue, got.ending, got.state, got.took)
	if got.state == "lost" {
		require.Equal(t, "preserved", before.state, "one loss is told once")
		before, got = got, a.run(t, a.attacked, a.ask)
	}
	switch before.state {
	case "preserved":
		require.Equal(t, "42", got.answer(), "%+v", got)
		require.Equal(t, before.generation, got.generation)
	case "lost":
		require.Equal(t, "unset", got.answer(), "fresh state, which was said: %+v", got)
		require.Greater(t, got.generation, before.generation)
	default:
		require.Fail(t, "no documented state", "%+v", before)
	}
	require.Contains(t, []string{"ready", "busy"}, a.detail(t, a.attacked).State)
	return got
}

// requireKept holds that the attacked context still has its variables.
func (a *arena) requireKept(t *testing.T) {
	t.Helper()
	got := a.run(t, a.attacked, a.ask)
	require.Equal(t, "42", got.answer(), "%+v", got)
	require.Equal(t, 1, got.generation)
}

// leave removes both contexts and looks for what is left of them (I5, I7).
func (a *arena) leave(t *testing.T) {
	t.Helper()
	if t.Failed() {
		a.tell(t)
		return
	}
	cores := a.box.cores(t)
	a.remove(t, a.attacked)
	a.remove(t, a.neighbour)
	require.Empty(t, cores)
	require.Eventually(t, func() bool {
		containers, _ := a.onEngine(t)
		return !slices.Contains(containers, a.box.id) && len(a.box.processes(t)) == 0 && !a.box.hasControlGroup()
	}, patience, probeEvery, "something is left of %s", a.box.id)
}
