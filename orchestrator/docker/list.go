package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"cubby/orchestrator"
)

// inspections is how many containers are looked at at the same time.
const inspections = 8

// List implements orchestrator.Engine.
func (e *Engine) List(ctx context.Context) ([]orchestrator.Container, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	found, err := e.list(limited)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", e.kind(ctx, err))
	}
	return found, nil
}

func (e *Engine) list(ctx context.Context) ([]orchestrator.Container, error) {
	summaries, err := e.api.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", LabelInstance+"="+e.instance)),
	})
	if err != nil {
		return nil, err
	}
	all := make([]orchestrator.Container, len(summaries))
	gone := make([]bool, len(summaries))
	failed := make([]error, len(summaries))
	slots := make(chan struct{}, inspections)
	var looking sync.WaitGroup
	for i, summary := range summaries {
		all[i] = toContainer(summary)
		if all[i].State != orchestrator.ContainerRunning && all[i].State != orchestrator.ContainerPaused {
			continue
		}
		slots <- struct{}{}
		looking.Go(func() {
			defer func() { <-slots }()
			gone[i], failed[i] = e.look(ctx, &all[i])
		})
	}
	looking.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	kept := all[:0]
	for i := range all {
		if !gone[i] {
			kept = append(kept, all[i])
		}
	}
	return kept, nil
}

// look fills in what only an inspection tells of a container that runs: whether it has ended before, and was started
// again. It reports a container that has gone meanwhile.
func (e *Engine) look(ctx context.Context, c *orchestrator.Container) (gone bool, err error) {
	found, err := e.api.ContainerInspect(ctx, c.ID)
	if errdefs.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect container %.12s: %w", c.ID, err)
	}
	if created, err := time.Parse(time.RFC3339Nano, found.Created); err == nil {
		c.CreatedAt = created
	}
	if found.State != nil {
		c.State = toState(found.State.Status)
		c.Finished = c.State == orchestrator.ContainerExited || hasFinished(found.State.FinishedAt)
		if c.State == orchestrator.ContainerExited {
			c.Reason = fmt.Sprintf("exited with code %d", found.State.ExitCode)
		}
	}
	return false, nil
}

// hasFinished reports whether an engine's time of finishing is set. It is the zero time until then; what cannot be read
// counts as set, for what a container holds is never believed without proof.
func hasFinished(at string) bool {
	finished, err := time.Parse(time.RFC3339Nano, at)
	return err != nil || !finished.IsZero()
}

// toContainer takes what a listing tells.
func toContainer(s container.Summary) orchestrator.Container {
	uid, _ := strconv.Atoi(s.Labels[labelUID]) // 0, which is nobody's, when somebody else made the label
	c := orchestrator.Container{
		ID: s.ID, Name: s.Labels[labelName], Image: s.Labels[LabelImage], UID: uid, Workspace: s.Labels[labelWorkspace],
		State: toState(s.State), CreatedAt: time.Unix(s.Created, 0),
	}
	if c.State == orchestrator.ContainerExited {
		c.Finished = true
		status, _, _ := strings.Cut(strings.ToLower(s.Status), ")") // "Exited (137) 2 minutes ago"
		c.Reason = strings.Replace(status, "(", "with code ", 1)
	}
	return c
}

// toState maps the engine's states. One that is being removed, or is dead, will not run again.
func toState(s container.ContainerState) orchestrator.ContainerState {
	switch s {
	case container.StateCreated:
		return orchestrator.ContainerCreated
	case container.StateRunning:
		return orchestrator.ContainerRunning
	case container.StatePaused:
		return orchestrator.ContainerPaused
	default:
		return orchestrator.ContainerExited
	}
}
