//go:build integration

package abusetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"cubby/api/wire"
	"cubby/orchestrator/docker"
)

// gone is what a fresh interpreter says of x.
const gone = "gone"

// resident is a context of the soak, and the only one who uses it. It knows what the context's x has to be.
type resident struct {
	s       *soak
	name    string
	veteran bool

	id         string   // empty when there is none
	pid        int      // of the supervisor, on the host, as of the last rest
	generation int      // in which x was set; 0: in none
	next       int      // what x was set to last
	may        []string // what x may be
	lossDue    bool     // a loss may have to be told yet
	told       int      // the life of the server that told of a loss; 0: x has been there since
}

// errCut says that the server's death cut a request off: what became of it is unknown.
var errCut = errors.New("the server died")

// live plays cards until ctx ends and enough were dealt. A card that breaks a promise is a failure; the resident goes on
// with a fresh context.
func (r *resident) live(ctx context.Context, enough int) {
	cards := r.s.decks[r.veteran]
	for ctx.Err() == nil || !cards.dealtAtLeast(enough) {
		c := cards.deal()
		playing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := r.play(playing, c)
		cancel()
		if err == nil {
			continue
		}
		r.s.t.Errorf("%s, context %s, after %q: %v", r.name, r.id, c.name, err)
		if r.s.tally.violation() {
			return
		}
		r.id = ""
	}
}

// play plays a card and then asks for x, which says whether the context is what it has to be.
func (r *resident) play(ctx context.Context, c card) error {
	if r.id == "" {
		if err := r.survive(ctx, r.create); err != nil {
			return err
		}
	}
	if c.fault {
		r.s.tally.fault(c.name)
	}
	r.lossDue = c.deadly
	switch err := c.play(r, ctx); {
	case errors.Is(err, errCut):
		if err := r.survive(ctx, r.recover); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return r.survive(ctx, r.probe)
}

// survive does something again, after a recovery, for as long as the server's death cuts it off.
func (r *resident) survive(ctx context.Context, do func(context.Context) error) error {
	err := do(ctx)
	for errors.Is(err, errCut) {
		if err = r.recover(ctx); err == nil {
			err = do(ctx)
		}
	}
	return err
}

// recover waits for the next server. What the last one was still running goes on: it is interrupted.
func (r *resident) recover(ctx context.Context) error {
	if err := r.s.server.awaitHealth(ctx, nil); err != nil {
		return err
	}
	if r.id == "" {
		return nil
	}
	return r.call(func() error { return r.s.web.client.Interrupt(ctx, r.id) })
}

// call makes a request whose failure is excused by the server's death alone.
func (r *resident) call(do func() error) error {
	before, wasUp := r.s.server.life()
	err := do()
	after, isUp := r.s.server.life()
	if err != nil && (before != after || !wasUp || !isUp) {
		r.s.tally.count(&r.s.tally.cut)
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return err
}

// create makes a fresh context.
func (r *resident) create(ctx context.Context) error {
	var made wire.Context
	err := r.call(func() (err error) { made, err = r.s.web.client.Create(ctx, wire.CreateContext{}); return err })
	if errors.Is(err, errCut) {
		r.s.tally.count(&r.s.tally.orphans)
	}
	if err == nil {
		r.id, r.generation, r.may, r.lossDue, r.told = made.ID, 0, []string{gone}, false, 0
	}
	return err
}

// probe asks for x and gives it a new value. A loss that is told is believed; fresh state that nobody told of is not.
func (r *resident) probe(ctx context.Context) error {
	if r.id == "" {
		if err := r.create(ctx); err != nil {
			return err
		}
	}
	r.next++
	value := strconv.Itoa(r.next)
	o, err := r.run(ctx, "print(globals().get('x', '"+gone+"')); x = "+value)
	if errors.Is(err, errCut) {
		r.may = append(r.may, value)
	}
	if err != nil {
		return err
	}
	x, fresh := strings.TrimSpace(o.stdout), o.generation > r.generation
	switch {
	case o.state == "lost" && o.ending != "ok" && o.ending != "error": // told, and not run: the next one finds fresh state
		return r.probe(ctx)
	case o.ending != "ok" || o.errors > 0 || o.missing > 0:
		return fmt.Errorf("a probe ended as %+v", o)
	case !slices.Contains(r.may, x), x == gone && !fresh, fresh && !slices.Contains(r.may, gone):
		return fmt.Errorf("x is %s in generation %d, after %d; it may be %v", x, o.generation, r.generation, r.may)
	}
	r.generation, r.may, r.lossDue, r.told = o.generation, []string{value}, false, 0
	return nil
}

// run executes code to its end.
func (r *resident) run(ctx context.Context, code string, more ...wire.Execute) (outcome, error) {
	return r.watch(ctx, nil, code, more...)
}

// watch executes code to its end and calls see after each line, until that says that it has seen enough.
func (r *resident) watch(ctx context.Context, see func(*stream) (enough bool, err error), code string, more ...wire.Execute) (outcome, error) {
	var got outcome
	err := r.call(func() error {
		st, err := r.s.web.execute(ctx, request(r.id, code, more...))
		if err != nil {
			return err
		}
		defer st.leave()
		for see != nil {
			if _, err := st.read(); err != nil {
				return fmt.Errorf("before what was waited for: %w: %+v", err, st.got)
			}
			enough, err := see(st)
			if err != nil {
				return err
			}
			if enough {
				break
			}
		}
		got, err = st.all()
		return err
	})
	if err != nil {
		return got, err
	}
	return got, r.judge(got)
}

// judge looks at an outcome, whatever the execution was for.
func (r *resident) judge(o outcome) error {
	r.s.tally.outcome(o)
	switch {
	case o.ends != 1:
		return fmt.Errorf("%d ends were told: %+v", o.ends, o)
	case o.errors > 1:
		return fmt.Errorf("%d errors were told: %+v", o.errors, o)
	case o.generation < r.generation:
		return fmt.Errorf("generation %d after %d: %+v", o.generation, r.generation, o)
	case o.state != "lost" && o.state != "preserved":
		return fmt.Errorf("an end that does not say what became of the state: %+v", o)
	}
	if o.state == "lost" {
		return r.lose(o)
	}
	return nil
}

// lose takes note of a loss that an outcome tells of. A server that died may not have known that its client was told.
func (r *resident) lose(o outcome) error {
	life, _ := r.s.server.life()
	switch {
	case r.told == life:
		return fmt.Errorf("a loss was told twice: %+v", o)
	case r.told != 0:
		r.s.tally.count(&r.s.tally.repeated)
	case !r.lossDue:
		r.s.tally.count(&r.s.tally.unexpected)
		r.s.t.Logf("%s lost context %s without need: %.300s", r.name, r.id, fmt.Sprintf("%+v", o))
	}
	r.may, r.lossDue, r.told = []string{gone}, false, life
	return nil
}

// containerID finds the resident's container on the engine.
func (r *resident) containerID(ctx context.Context) (string, error) {
	o, err := r.run(ctx, "import socket; print(socket.gethostname())")
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(o.stdout)
	found, err := r.s.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("id", name), filters.Arg("label", docker.LabelInstance+"="+r.s.instance))})
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d containers %q: %w", len(found), name, err)
	}
	return found[0].ID, nil
}
