package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// Adopt takes over what an earlier server has left: contexts whose containers live go on with their variables, those
// whose containers are gone are listed as lost, unfinished creations and removals are cleaned up. It is called once,
// before anything else. Containers of ours that no record knows are adopted when they are claimed; others are left
// alone, since unknown is not ours to remove. Default contexts that are to be there from the start are begun.
func (m *Manager) Adopt(ctx context.Context) error {
	records, err := m.Store.Contexts()
	if err != nil {
		return fmt.Errorf("read contexts: %w", err)
	}
	containers, err := m.Engine.List(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if err := m.openSandbox(ctx, containers); err != nil {
		return err
	}
	aside := m.Store.SetAside()
	if aside != "" {
		m.log.Warn("the store was unreadable and is rebuilt from the engine; nothing is removed", "set_aside", aside)
	}
	claims, silent := m.interview(ctx, containers)
	a := &adoption{
		m: m, claims: claims, containers: containers, known: map[string]bool{}, images: map[string]Image{},
		rebuilt: aside != "",
	}
	named := map[string]bool{}
	var group multierror.Group
	for _, record := range records {
		a.known[record.ID], named[a.container(record.Container).ID] = true, true
		if record.Next != nil {
			named[a.container(*record.Next).ID] = true
		}
		group.Go(func() error { return a.settle(ctx, record) })
	}
	for id, found := range a.claims {
		if !a.known[id] {
			group.Go(func() error { return a.adoptUnknown(ctx, id, found) })
		}
	}
	for _, c := range silent {
		if !named[c.ID] {
			m.inBackground(func(ctx context.Context) { a.askAgain(ctx, c) })
		}
	}
	err = group.Wait().ErrorOrNil()
	m.logAdopted()
	if err == nil {
		m.makeDefaults()
	}
	return err
}

// adoption is what a server finds at its start.
type adoption struct {
	m          *Manager
	containers []Container           // all of this instance
	claims     map[string][]claimant // those that answer, by the context that they serve
	known      map[string]bool       // the contexts of the records
	rebuilt    bool                  // the records are not those that the containers had: nothing is removed

	late   sync.Mutex // one container that answers late is looked at after the other
	mu     sync.Mutex
	images map[string]Image // the current one of each language that has been asked for
}

// container finds a container that a record names: by the engine's id where that is known, since somebody else's can have
// all our labels, the name among them. One that is not there is the zero Container.
func (a *adoption) container(named store.Container) Container {
	i := slices.IndexFunc(a.containers, func(c Container) bool {
		return c.ID == named.ID || named.ID == "" && c.Name == named.Name
	})
	if i < 0 {
		return Container{}
	}
	return a.containers[i]
}

// image returns the image of a container: with its tag where it is its language's current one.
func (a *adoption) image(ctx context.Context, language, id string) Image {
	a.mu.Lock()
	defer a.mu.Unlock()
	current, asked := a.images[language]
	if !asked {
		if found, err := a.m.Images.Image(ctx, language); err == nil {
			current = found
		}
		a.images[language] = current
	}
	if current.ID == id {
		return current
	}
	return Image{ID: id}
}

// logAdopted says what this server begins with.
func (m *Manager) logAdopted() {
	states := map[State]int{}
	for _, s := range m.all() {
		states[s.describe().State]++
	}
	if len(states) > 0 {
		m.log.Info("contexts taken over", "states", states)
	}
}

// settle brings one record and what the engine holds together again.
func (a *adoption) settle(ctx context.Context, r store.Context) error {
	m := a.m
	best, rest := choose(a.claims[r.ID], r)
	if r.Removing || !r.Ready && (best == nil || !best.used()) {
		m.dismiss(a.claims[r.ID])
		m.finishUnready(ctx, r)
		return nil
	}
	a.dismissRivals(r, best, rest)
	if r.Next != nil && (best == nil || best.Name != r.Next.Name) {
		m.removeLater(a.container(*r.Next).ID) // it was brought up for a restart that was not carried out
	}
	s := newSession(m, r, StateStarting)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	m.list(s)
	if best != nil {
		return s.resume(*best, a.image(ctx, r.Language, best.Image))
	}
	c := a.container(r.Container)
	switch {
	case r.Failed != "":
		m.removeLater(c.ID)
		return s.fail(r.Failed)
	case r.Lost != "":
		m.removeLater(c.ID)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.setState(StateLost)
		return nil
	case c.ID != "" && !c.Finished && c.State != ContainerExited: // it did not answer yet, or is paused
		s.runsIn(c, a.image(ctx, r.Language, c.Image))
		m.inBackground(func(ctx context.Context) { s.reach(ctx, nil) })
		return nil
	}
	s.container = c.ID
	return s.lose(cmp.Or(c.fate(), "its container was removed while no server ran"))
}

// finishUnready ends a creation that was never acknowledged, or a removal. One that the engine refuses keeps nobody
// from starting: it is tried again.
func (m *Manager) finishUnready(ctx context.Context, r store.Context) {
	names := []string{r.Container.Name}
	if r.Next != nil {
		names = append(names, r.Next.Name)
	}
	m.mu.Lock()
	m.creating++ // what it leaves behind takes a place
	m.mu.Unlock()
	if err := m.discard(ctx, r.ID, names...); err != nil {
		m.log.Warn("unfinished context not removed", "context", r.ID, "error", err)
	}
}

// resume takes over a container that lives. Of a generation that the record does not know its claim tells what nobody was
// told of the one before. The caller holds the lifecycle lock.
func (s *session) resume(c claimant, image Image) error {
	generation, untold := c.generation(), c.conn.Hello().Meta[metaUntold]
	err := s.put(func(r *store.Context) {
		if r.Next != nil && r.Next.Name == c.Name {
			r.Container = *r.Next
		} else if r.Container.Name != c.Name {
			r.Container = store.Container{Name: c.Name} // whoever claimed it had a secret that this record has not
		}
		r.Container.ID, r.Next, r.Ready = c.ID, nil, true
		if generation <= r.Generation {
			return
		}
		r.Loss = r.Loss.Happened(generation-1, untold, time.Now().UTC())
		if untold == "" {
			r.Loss = r.Loss.Tell(generation - 1)
		}
		r.Generation, r.Lost, r.Failed = generation, "", ""
	})
	if err != nil {
		return errors.Join(err, c.conn.Close())
	}
	s.runsIn(c.Container, image)
	c.events.pass(s.handler(s.record.Container))
	s.takeOver(c.conn, s.record.Container)
	return nil
}

// runsIn makes a container the session's; executions that arrive before there is a connection wait for it.
func (s *session) runsIn(c Container, image Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.container, s.image = c.ID, image
	s.setState(StateReady)
}

// adoptExecutions takes note of what already runs, so that the context is busy until it ends. Until somebody follows such
// an execution its output is thrown away, which somebody has to do: a supervisor holds a done back behind what is not
// acknowledged. The journal still has it for who follows.
func (s *session) adoptExecutions(hello kernel.Event) {
	var adopted []*run
	var readers []*Execution
	s.mu.Lock()
	for _, told := range hello.Executions {
		if r, _ := s.known(told.ID); r != nil || told.State == kernel.ExecutionDone {
			continue
		}
		r := &run{
			id: told.ID, generation: s.record.Generation, state: told.State, seq: told.Seq, output: -1,
			request: kernel.Request{Op: kernel.OpResume, ID: told.ID},
		}
		e := s.newReader(r, told.Seq)
		e.delivered, e.partly = told.Output, false
		adopted, readers = append(adopted, r), append(readers, e)
	}
	s.executions = append(adopted, s.executions...)
	s.mu.Unlock()
	for _, e := range readers {
		s.m.inBackground(e.Discard)
	}
}

// adoptUnknown makes a record for a container that is claimed and ours, but that the store does not know.
func (a *adoption) adoptUnknown(ctx context.Context, id string, found []claimant) error {
	best, rest := choose(found, store.Context{})
	a.dismissRivals(store.Context{}, best, rest)
	meta := best.conn.Hello().Meta
	born, err := time.Parse(time.RFC3339Nano, meta["created_at"])
	if err != nil {
		born = best.CreatedAt
	}
	s := newSession(a.m, store.Context{
		ID: id, Language: meta["language"], Cwd: meta["cwd"], Sandbox: meta["sandbox"], Default: meta["default"] == "true",
		CreatedAt: born,
	}, StateStarting)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	a.m.list(s)
	a.m.log.Info("container adopted that no record knew", "context", id, "container", best.Name)
	return s.resume(*best, a.image(ctx, meta["language"], best.Image))
}

// list makes a session known.
func (m *Manager) list(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[s.record.ID] = s
}
