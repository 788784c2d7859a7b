package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

const (
	inspectCall = "GET /images/" + testDigest + "/json"
	createCall  = "POST /containers/create"
	startCall   = "POST /containers/c1/start"
	removeCall  = "DELETE /containers/c1"
)

// newStarter returns a daemon on which a start succeeds.
func newStarter(t *testing.T, create, start http.HandlerFunc) *daemon {
	t.Helper()
	d := newDaemon(t)
	d.on(createCall, create)
	d.on(startCall, start)
	d.on(removeCall, reply(http.StatusNoContent, ""))
	return d
}

var (
	created = reply(http.StatusCreated, `{"Id":"c1","Warnings":[]}`)
	started = reply(http.StatusNoContent, "")
)

func TestStart(t *testing.T) {
	t.Run("the profile is what is asked for", func(t *testing.T) {
		var asked container.CreateRequest
		var name string
		d := newStarter(t, func(w http.ResponseWriter, r *http.Request) {
			name = r.URL.Query().Get("name")
			_ = json.NewDecoder(r.Body).Decode(&asked)
			created(w, r)
		}, started)
		id, err := d.engine().Start(t.Context(), freshSpec())
		require.NoError(t, err)
		require.Equal(t, "c1", id)
		require.Equal(t, "cubby-x7", name)
		config, host, _, err := convert(freshSpec(), testInstance, "")
		require.NoError(t, err)
		require.Equal(t, config, asked.Config)
		require.Equal(t, host, asked.HostConfig)
	})
	t.Run("an image is looked at once", func(t *testing.T) {
		d := newStarter(t, created, started)
		e := d.engine()
		for range 3 {
			_, err := e.Start(t.Context(), freshSpec())
			require.NoError(t, err)
		}
		require.Equal(t, 1, d.count(inspectCall))
	})
	t.Run("a start that fails leaves nothing", func(t *testing.T) {
		d := newStarter(t, created, refuse(http.StatusInternalServerError, "OCI runtime create failed: no such runtime"))
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorContains(t, err, "start container cubby-x7")
		require.ErrorContains(t, err, "no such runtime")
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("settings that the engine refuses are not the client's fault", func(t *testing.T) {
		d := newStarter(t, refuse(http.StatusBadRequest, "Unknown runtime specified runsc"), started)
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorContains(t, err, "Unknown runtime specified runsc")
		require.NotErrorIs(t, err, orchestrator.ErrInvalid)
	})
	t.Run("an image without the supervisor is not the client's fault", func(t *testing.T) {
		for _, status := range []int{http.StatusBadRequest, http.StatusNotFound} {
			d := newStarter(t, created, refuse(status, "exec: no such file or directory"))
			_, err := d.engine().Start(t.Context(), freshSpec())
			require.ErrorContains(t, err, "no such file")
			require.NotErrorIs(t, err, orchestrator.ErrInvalid)
			require.NotErrorIs(t, err, orchestrator.ErrNotFound)
			require.Equal(t, 1, d.count(removeCall))
		}
	})
	t.Run("a supervisor that cannot be run is the image's fault, told without the host's paths", func(t *testing.T) {
		d := newStarter(t, created, refuse(http.StatusBadRequest, "OCI runtime create failed: /var/lib/secret: starting container process "+
			`caused: exec: "/opt/cubby/supervisor": permission denied: unknown`))
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrNoBoot)
		require.ErrorContains(t, err, "/opt/cubby/supervisor cannot be run: permission denied")
		require.NotContains(t, err.Error(), "secret")
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("a spec that is refused asks the engine nothing", func(t *testing.T) {
		d := newStarter(t, created, started)
		spec := freshSpec()
		spec.UID = 0
		_, err := d.engine().Start(t.Context(), spec)
		require.ErrorIs(t, err, orchestrator.ErrInvalid)
		require.Zero(t, d.count(inspectCall))
	})
}

func TestStartImage(t *testing.T) {
	newDaemonWith := func(t *testing.T, image http.HandlerFunc) *daemon {
		t.Helper()
		d := newStarter(t, created, started)
		d.on("GET /images/"+testDigest+"/json", image)
		return d
	}
	t.Run("a missing image names the command", func(t *testing.T) {
		d := newDaemonWith(t, refuse(http.StatusNotFound, "No such image"))
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrImageMissing)
		require.ErrorContains(t, err, "cubby images build")
	})
	t.Run("an image with VOLUME is refused", func(t *testing.T) {
		d := newDaemonWith(t, reply(http.StatusOK, `{"Id":"x","Config":{"Volumes":{"/data":{},"/cache":{}}}}`))
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrInvalid)
		require.ErrorContains(t, err, "/cache /data")
		require.Zero(t, d.count(createCall))
	})
	t.Run("an image that has gone since is missing, and looked at again", func(t *testing.T) {
		d := newStarter(t, inTurn(created, refuse(http.StatusNotFound, "No such image"), created), started)
		e := d.engine()
		_, err := e.Start(t.Context(), freshSpec())
		require.NoError(t, err)
		_, err = e.Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrImageMissing)
		_, err = e.Start(t.Context(), freshSpec())
		require.NoError(t, err)
		require.Equal(t, 2, d.count(inspectCall))
	})
}

func TestStartWhenTheAnswerIsLost(t *testing.T) {
	t.Run("the container is found by its name and removed, however late it appears", func(t *testing.T) {
		d := newStarter(t, hangUp, started)
		d.on("GET /containers/cubby-x7/json", inTurn(
			refuse(http.StatusNotFound, "No such container"), refuse(http.StatusNotFound, "No such container"),
			inspected("c1", testInstance, container.State{Status: "created"})))
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("somebody else's container of that name stays", func(t *testing.T) {
		d := newStarter(t, hangUp, started)
		d.on("GET /containers/cubby-x7/json", inspected("c1", "another", container.State{Status: "running"}))
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Zero(t, d.count(removeCall))
	})
	t.Run("a name that is taken removes nothing", func(t *testing.T) {
		d := newStarter(t, refuse(http.StatusConflict, "The container name is already in use"), started)
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrConflict)
		require.Zero(t, d.count("GET /containers/cubby-x7/json"))
		require.Zero(t, d.count(removeCall))
	})
	t.Run("a start without an answer is undone", func(t *testing.T) {
		d := newStarter(t, created, hangUp)
		_, err := d.engine().Start(t.Context(), freshSpec())
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.Equal(t, 1, d.count(removeCall))
	})
}

func TestStartWhenTheCallerLeaves(t *testing.T) {
	t.Run("during the create: its end is awaited and the container removed", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		d := newStarter(t, func(w http.ResponseWriter, r *http.Request) {
			leave()
			created(w, r)
		}, started)
		_, err := d.engine().Start(ctx, freshSpec())
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, d.count(startCall))
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("during the start: likewise", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		d := newStarter(t, created, func(w http.ResponseWriter, r *http.Request) {
			leave()
			started(w, r)
		})
		_, err := d.engine().Start(ctx, freshSpec())
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, d.count(removeCall))
	})
}

func TestStartWarnings(t *testing.T) {
	warning := reply(http.StatusCreated, `{"Id":"c1","Warnings":["Your kernel does not support swap limit capabilities"]}`)
	t.Run("are logged once", func(t *testing.T) {
		var logged bytes.Buffer
		e := newStarter(t, warning, started).engine(func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
		for range 2 {
			_, err := e.Start(t.Context(), freshSpec())
			require.NoError(t, err)
		}
		require.Equal(t, 1, strings.Count(logged.String(), "swap limit"))
	})
	t.Run("fail a strict start, which leaves nothing", func(t *testing.T) {
		d := newStarter(t, warning, started)
		_, err := d.engine(func(c *Config) { c.Strict = true }).Start(t.Context(), freshSpec())
		require.ErrorContains(t, err, "swap limit")
		require.Zero(t, d.count(startCall))
		require.Equal(t, 1, d.count(removeCall))
	})
}

func TestRemove(t *testing.T) {
	mine := inspected("c1", testInstance, container.State{Status: "running"})
	inProgress := refuse(http.StatusConflict, "removal of container c1 is already in progress")
	for name, c := range map[string]struct {
		inspect, remove http.HandlerFunc
		kind            error
		removals        int
	}{
		"one of ours is removed":             {mine, reply(http.StatusNoContent, ""), nil, 1},
		"one that is not there is no error":  {refuse(http.StatusNotFound, "gone"), nil, nil, 0},
		"one that goes meanwhile is none":    {mine, refuse(http.StatusNotFound, "gone"), nil, 1},
		"one that is being removed is":       {mine, inTurn(inProgress, inProgress, refuse(http.StatusNotFound, "gone")), nil, 3},
		"a slow kill is tried again":         {mine, inTurn(refuse(http.StatusInternalServerError, "did not receive an exit event"), reply(http.StatusNoContent, "")), nil, 2},
		"somebody else's is a conflict":      {inspected("c1", "another", container.State{}), nil, orchestrator.ErrConflict, 0},
		"an engine that is gone is told":     {mine, hangUp, orchestrator.ErrEngine, 1},
		"an inspection that fails is told":   {hangUp, nil, orchestrator.ErrEngine, 0},
		"a refusal is not tried again":       {mine, refuse(http.StatusBadRequest, "no"), orchestrator.ErrInvalid, 1},
		"a missing label is somebody else's": {inspected("c1", "", container.State{}), nil, orchestrator.ErrConflict, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.on("GET /containers/c1/json", c.inspect)
			if c.remove != nil {
				d.on(removeCall, func(w http.ResponseWriter, r *http.Request) {
					require.Equal(t, "1", r.URL.Query().Get("force"))
					require.Equal(t, "1", r.URL.Query().Get("v"), "anonymous volumes go too")
					c.remove(w, r)
				})
			}
			err := d.engine().Remove(t.Context(), "c1")
			if c.kind == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.kind)
			}
			require.LessOrEqual(t, c.removals, d.count(removeCall))
			require.GreaterOrEqual(t, c.removals+1, d.count(removeCall), "the HTTP client may repeat a call once")
		})
	}
	t.Run("trying ends with ctx", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := newDaemon(t)
		d.on("GET /containers/c1/json", mine)
		d.on(removeCall, func(w http.ResponseWriter, r *http.Request) {
			inProgress(w, r)
			cancel()
		})
		require.ErrorIs(t, d.engine().Remove(ctx, "c1"), context.Canceled)
	})
}

func TestOutlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		longer, cancel := outlive(ctx, overrun)
		defer cancel()
		time.Sleep(time.Hour)
		require.NoError(t, longer.Err(), "it lasts as long as the caller stays")
		leave()
		time.Sleep(overrun - time.Second)
		require.NoError(t, longer.Err(), "and a while longer")
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, longer.Err(), context.Canceled)
	})
}
