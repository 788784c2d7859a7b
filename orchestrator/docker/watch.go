package docker

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"cubby/orchestrator"
)

// Watch implements orchestrator.Engine. It returns ctx's error when ctx ends, else why the stream broke.
func (e *Engine) Watch(ctx context.Context, fn func(orchestrator.ContainerEvent)) error {
	inner, cancel := context.WithCancel(ctx)
	messages, errs := e.api.Events(inner, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", LabelInstance+"="+e.instance),
		filters.Arg("event", string(events.ActionKill)),
		filters.Arg("event", string(events.ActionOOM)),
		filters.Arg("event", string(events.ActionDie)),
		filters.Arg("event", string(events.ActionDestroy)),
	)})
	defer func() {
		cancel()
		for range errs { // closed when the SDK's goroutine has ended
		}
	}()
	ends := endings{}
	for {
		select {
		case msg := <-messages:
			if reason, ended := ends.note(msg); ended {
				fn(orchestrator.ContainerEvent{ID: msg.Actor.ID, Reason: reason})
			}
		case err := <-errs:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("watch containers: %w: the stream of events broke: %w", orchestrator.ErrEngine, err)
		}
	}
}

// endings follows each container to its end, by its id: what was last done to it, until it is destroyed.
type endings map[string]events.Action

// note takes one event and reports whether the container has ended by it, and why. A container ends once: what dies is
// destroyed later, and that is no news.
func (e endings) note(msg events.Message) (reason string, ended bool) {
	id, before := msg.Actor.ID, e[msg.Actor.ID]
	switch msg.Action {
	case events.ActionOOM:
		e[id] = msg.Action
	case events.ActionKill:
		if sig := msg.Actor.Attributes["signal"]; sig == "9" || sig == "15" || sig == "SIGKILL" || sig == "SIGTERM" {
			e[id] = msg.Action
		}
	case events.ActionDie:
		e[id] = msg.Action
		return deathOf(before, msg.Actor.Attributes["exitCode"]), true
	case events.ActionDestroy:
		delete(e, id)
		return "removed", before != events.ActionDie
	}
	return "", false
}

// deathOf words the death of PID 1. An out-of-memory event alone proves nothing, since any process of the container
// can have been the victim; followed by a SIGKILL that nobody sent through the engine it does.
func deathOf(before events.Action, exitCode string) string {
	switch {
	case before == events.ActionKill:
		return "killed"
	case before == events.ActionOOM && exitCode == "137":
		return "out of memory"
	case exitCode == "137":
		return "killed from outside"
	default:
		return "exited with code " + exitCode
	}
}
