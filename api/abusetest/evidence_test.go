//go:build integration

package abusetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"cubby/orchestrator/docker"
)

// tell shows what a failed test leaves to look at: the contexts, their containers, the engine's events, the server's log.
func (s *server) tell(t *testing.T) {
	t.Helper()
	s.told = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if list, err := s.client.List(ctx); err == nil {
		for _, cc := range list {
			detail, err := s.client.Get(ctx, cc.ID)
			t.Logf("context %s: %s (%v)", cc.ID, asJSON(detail), err)
		}
	}
	ours := filters.NewArgs(filters.Arg("label", docker.LabelInstance+"="+s.instance(t)))
	containers, err := s.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	if err != nil {
		t.Logf("list containers: %v", err)
	}
	for _, c := range containers {
		found, err := s.docker.ContainerInspect(ctx, c.ID)
		if err != nil {
			t.Logf("inspect %.12s: %v", c.ID, err)
			continue
		}
		t.Logf("container %.12s: restarts %d, state %s, labels %s", c.ID, found.RestartCount, asJSON(found.State), asJSON(c.Labels))
	}
	s.tellEvents(ctx, t, ours)
	written, _ := os.ReadFile(s.log)
	lines := strings.Split(string(written), "\n")
	t.Logf("the end of the server's log:\n%s", strings.Join(lines[max(0, len(lines)-80):], "\n"))
}

// tellEvents shows what the engine did with this server's containers.
func (s *server) tellEvents(ctx context.Context, t *testing.T, ours filters.Args) {
	t.Helper()
	now := time.Now()
	ours.Add("type", string(events.ContainerEventType))
	happened, failed := s.docker.Events(ctx, events.ListOptions{
		Since: strconv.FormatInt(now.Add(-10*time.Minute).Unix(), 10), Until: fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()), Filters: ours,
	})
	var lines []string
	for {
		select {
		case ev := <-happened:
			if !strings.HasPrefix(string(ev.Action), "exec_") {
				lines = append(lines, fmt.Sprintf("%s %.12s %s %s", time.Unix(0, ev.TimeNano).Format(time.TimeOnly), ev.Actor.ID, ev.Action, ev.Actor.Attributes["exitCode"]))
			}
		case <-failed: // the end, too
			t.Logf("the engine's last events:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
			return
		}
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
