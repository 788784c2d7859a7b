package docker

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

const (
	never = "0001-01-01T00:00:00Z"
	once  = "2025-01-02T04:00:00Z"
)

func TestList(t *testing.T) {
	d := newDaemon(t)
	labels := `"Labels":{"cubby.instance":"test-instance","cubby.name":"n","cubby.uid":"20001","cubby.workspace":"w","cubby.image":"sha256:1"}`
	var filters string
	d.on("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		filters = r.URL.Query().Get("filters")
		reply(http.StatusOK, `[
			{"Id":"fresh","State":"running","Status":"Up 2 minutes","Created":1735787045,`+labels+`},
			{"Id":"again","State":"running","Status":"Up 1 second","Created":1735787045},
			{"Id":"vanished","State":"running","Created":1735787045},
			{"Id":"dying","State":"running","Created":1735787045},
			{"Id":"paused","State":"paused","Created":1735787045},
			{"Id":"made","State":"created","Created":1735787045},
			{"Id":"ended","State":"exited","Status":"Exited (137) 2 minutes ago","Created":1735787045},
			{"Id":"dead","State":"dead","Status":"Dead","Created":1735787045}]`)(w, r)
	})
	for id, state := range map[string]container.State{
		"fresh":  {Status: "running", FinishedAt: never},
		"again":  {Status: "running", FinishedAt: once},
		"dying":  {Status: "exited", FinishedAt: once, ExitCode: 137},
		"paused": {Status: "paused", FinishedAt: never},
	} {
		d.on("GET /containers/"+id+"/json", inspected(id, testInstance, state))
	}
	d.on("GET /containers/vanished/json", refuse(http.StatusNotFound, "gone"))

	found, err := d.engine().List(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"label":{"cubby.instance=test-instance":true}}`, filters)
	exact := time.Date(2025, 1, 2, 3, 4, 5, 678900000, time.UTC)
	rough := time.Unix(1735787045, 0)
	require.Equal(t, []orchestrator.Container{
		{ID: "fresh", Name: "n", Image: "sha256:1", UID: 20001, Workspace: "w", State: orchestrator.ContainerRunning, CreatedAt: exact},
		{ID: "again", State: orchestrator.ContainerRunning, Finished: true, CreatedAt: exact},
		{ID: "dying", State: orchestrator.ContainerExited, Finished: true, Reason: "exited with code 137", CreatedAt: exact},
		{ID: "paused", State: orchestrator.ContainerPaused, CreatedAt: exact},
		{ID: "made", State: orchestrator.ContainerCreated, CreatedAt: rough},
		{ID: "ended", State: orchestrator.ContainerExited, Finished: true, Reason: "exited with code 137", CreatedAt: rough},
		{ID: "dead", State: orchestrator.ContainerExited, Finished: true, Reason: "dead", CreatedAt: rough},
	}, found)
	require.Zero(t, d.count("GET /containers/made/json"), "a listing tells all of it")
	require.Zero(t, d.count("GET /containers/ended/json"), "a listing tells all of it")
}

func TestListTellsNothingHalf(t *testing.T) {
	d := newDaemon(t)
	d.on("GET /containers/json", reply(http.StatusOK, `[{"Id":"a","State":"running"},{"Id":"made","State":"created"}]`))
	d.on("GET /containers/a/json", refuse(http.StatusInternalServerError, "boom"))
	found, err := d.engine().List(t.Context())
	require.ErrorContains(t, err, "boom")
	require.Nil(t, found)
}

func TestHasFinished(t *testing.T) {
	for at, want := range map[string]bool{never: false, once: true, "": true, "unreadable": true} {
		require.Equal(t, want, hasFinished(at), at)
	}
}

// happened is an event of container c1.
func happened(action events.Action, attributes ...string) events.Message {
	msg := events.Message{Action: action, Actor: events.Actor{ID: "c1", Attributes: map[string]string{}}}
	for i := 0; i < len(attributes); i += 2 {
		msg.Actor.Attributes[attributes[i]] = attributes[i+1]
	}
	return msg
}

func TestEndings(t *testing.T) {
	oom, died := happened(events.ActionOOM), happened(events.ActionDie, "exitCode", "137")
	kill, destroyed := happened(events.ActionKill, "signal", "9"), happened(events.ActionDestroy)
	for name, c := range map[string]struct {
		messages []events.Message
		want     []string
	}{
		"a removal is one end":                     {[]events.Message{kill, died, destroyed}, []string{"killed"}},
		"a removal of one that never ran":          {[]events.Message{destroyed}, []string{"removed"}},
		"out of memory":                            {[]events.Message{oom, died}, []string{"out of memory"}},
		"a child out of memory is no end":          {[]events.Message{oom}, nil},
		"a child out of memory, later killed":      {[]events.Message{oom, kill, died}, []string{"killed"}},
		"a child out of memory, later an exit":     {[]events.Message{oom, happened(events.ActionDie, "exitCode", "0")}, []string{"exited with code 0"}},
		"a kill by no engine":                      {[]events.Message{died}, []string{"killed from outside"}},
		"a signal that does not kill is no reason": {[]events.Message{happened(events.ActionKill, "signal", "1"), died}, []string{"killed from outside"}},
		"a second life ends again":                 {[]events.Message{died, died}, []string{"killed from outside", "killed from outside"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			ends := endings{}
			for _, msg := range c.messages {
				if reason, ended := ends.note(msg); ended {
					got = append(got, reason)
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestWatch(t *testing.T) {
	stream := func(hold bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			reply(http.StatusOK, `{"Action":"die","Actor":{"ID":"a","Attributes":{"exitCode":"1"}}}{"Action":"destroy","Actor":{"ID":"b"}}`)(w, r)
			w.(http.Flusher).Flush()
			if hold {
				<-r.Context().Done()
			}
		}
	}
	want := []orchestrator.ContainerEvent{{ID: "a", Reason: "exited with code 1"}, {ID: "b", Reason: "removed"}}
	t.Run("a stream that breaks is an engine error", func(t *testing.T) {
		d := newDaemon(t)
		d.on("GET /events", stream(false))
		var got []orchestrator.ContainerEvent
		err := d.engine().Watch(t.Context(), func(ev orchestrator.ContainerEvent) { got = append(got, ev) })
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Equal(t, want, got)
	})
	t.Run("the end of ctx ends it", func(t *testing.T) {
		d := newDaemon(t)
		d.on("GET /events", stream(true))
		ctx, cancel := context.WithCancel(t.Context())
		var got []orchestrator.ContainerEvent
		err := d.engine().Watch(ctx, func(ev orchestrator.ContainerEvent) {
			if got = append(got, ev); len(got) == 2 {
				cancel()
			}
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, want, got)
	})
	t.Run("only ends of this instance are asked for", func(t *testing.T) {
		d := newDaemon(t)
		d.on("GET /events", func(w http.ResponseWriter, r *http.Request) {
			require.JSONEq(t, `{"type":{"container":true},"label":{"cubby.instance=test-instance":true},
				"event":{"die":true,"oom":true,"kill":true,"destroy":true}}`, r.URL.Query().Get("filters"))
			reply(http.StatusOK, "")(w, r)
		})
		require.Error(t, d.engine().Watch(t.Context(), nil))
	})
	t.Run("an engine that is gone is told", func(t *testing.T) {
		d := newDaemon(t)
		d.on("GET /events", hangUp)
		require.ErrorIs(t, d.engine().Watch(t.Context(), nil), orchestrator.ErrEngine)
	})
}
