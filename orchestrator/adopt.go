package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-multierror"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// Adopt takes over what an earlier server has left: contexts whose containers live go on with their variables, those
// whose containers are gone are listed as lost, unfinished creations and removals are cleaned up. It is called once,
// before anything else. Containers of ours that no record knows are adopted when they are claimed; others are left
// alone, since unknown is not ours to remove.
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
	if aside := m.Store.SetAside(); aside != "" {
		m.log.Warn("the store was unreadable and is rebuilt from the engine; nothing is removed", "set_aside", aside)
	}
	claims := m.interview(ctx, containers)
	byName := map[string]Container{}
	for _, c := range containers {
		byName[c.Name] = c
	}
	known := map[string]bool{}
	var group multierror.Group
	for _, record := range records {
		known[record.ID] = true
		group.Go(func() error { return m.settle(ctx, record, byName, claims[record.ID]) })
	}
	for id, found := range claims {
		if !known[id] {
			group.Go(func() error { return m.adoptUnknown(ctx, id, found) })
		}
	}
	err = group.Wait().ErrorOrNil()
	m.logAdopted()
	return err
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
func (m *Manager) settle(ctx context.Context, r store.Context, byName map[string]Container, found []claimant) error {
	best, rest := highest(found)
	if r.Removing || !r.Ready {
		m.dismiss(found)
		m.finishUnready(ctx, r)
		return nil
	}
	m.dismiss(rest)
	if r.Next != nil && (best == nil || best.Name != r.Next.Name) {
		m.removeLater(byName[r.Next.Name].ID) // it was brought up for a restart that was not carried out
	}
	s := newSession(m, r, StateStarting)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	m.list(s)
	if best != nil {
		return s.resume(ctx, *best)
	}
	c, there := byName[r.Container.Name]
	switch {
	case there && !c.Finished && c.State != ContainerExited: // it did not answer yet, or is paused
		s.runsIn(ctx, c)
		m.inBackground(func(ctx context.Context) { s.reach(ctx, nil) })
		return nil
	case r.Failed != "":
		return s.fail(r.Failed)
	case r.Lost != "":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.setState(StateLost)
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

// resume takes over a container that lives. The caller holds the lifecycle lock.
func (s *session) resume(ctx context.Context, c claimant) error {
	err := s.put(func(r *store.Context) {
		if r.Next != nil && r.Next.Name == c.Name {
			r.Container = *r.Next
		}
		r.Container.Name, r.Next = c.Name, nil
		if c.generation() > r.Generation {
			r.Generation, r.Lost, r.Failed = c.generation(), "", ""
		}
	})
	if err != nil {
		return errors.Join(err, c.conn.Close())
	}
	s.runsIn(ctx, c.Container)
	c.events.pass(s.handler(s.record.Container))
	s.takeOver(c.conn, s.record.Container)
	return nil
}

// runsIn makes a container the session's; executions that arrive before there is a connection wait for it.
func (s *session) runsIn(ctx context.Context, c Container) {
	image := Image{ID: c.Image}
	if current, err := s.m.Images.Image(ctx, s.record.Language); err == nil && current.ID == c.Image {
		image.Tag = current.Tag // an image that is not current has none
	}
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
func (m *Manager) adoptUnknown(ctx context.Context, id string, found []claimant) error {
	best, rest := highest(found)
	m.dismiss(rest)
	meta := best.conn.Hello().Meta
	born, err := time.Parse(time.RFC3339Nano, meta["created_at"])
	if err != nil {
		born = best.CreatedAt
	}
	s := newSession(m, store.Context{
		ID: id, Language: meta["language"], Cwd: meta["cwd"], Sandbox: meta["sandbox"], Default: meta["default"] == "true",
		CreatedAt: born, Generation: best.generation(), Container: store.Container{Name: best.Name}, Ready: true,
	}, StateStarting)
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	m.list(s)
	m.log.Info("container adopted that no record knew", "context", id, "container", best.Name)
	return s.resume(ctx, *best)
}

// list makes a session known.
func (m *Manager) list(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[s.record.ID] = s
}
