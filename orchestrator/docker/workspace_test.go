package docker

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

const (
	myVolume    = `{"Name":"w","Labels":{"cubby.instance":"test-instance"}}`
	otherVolume = `{"Name":"w","Labels":{"cubby.instance":"another"}}`
)

func TestCreateWorkspace(t *testing.T) {
	t.Run("the volume carries our labels", func(t *testing.T) {
		var asked volume.CreateOptions
		d := newDaemon(t)
		d.on("POST /volumes/create", func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewDecoder(r.Body).Decode(&asked)
			reply(http.StatusCreated, myVolume)(w, r)
		})
		require.NoError(t, d.engine().CreateWorkspace(t.Context(), "w"))
		require.Equal(t, volume.CreateOptions{Name: "w", Labels: map[string]string{
			"cubby.instance": testInstance, "cubby.workspace": "w", "cubby.schema": "1",
		}}, asked)
	})
	t.Run("somebody else's volume of that name is a conflict", func(t *testing.T) {
		d := newDaemon(t)
		d.on("POST /volumes/create", reply(http.StatusCreated, otherVolume))
		require.ErrorIs(t, d.engine().CreateWorkspace(t.Context(), "w"), orchestrator.ErrConflict)
	})
}

func TestRemoveWorkspace(t *testing.T) {
	none := refuse(http.StatusNotFound, "no such volume")
	for name, c := range map[string]struct {
		inspect, remove http.HandlerFunc
		kind            error
	}{
		"one of ours is removed":            {reply(http.StatusOK, myVolume), reply(http.StatusNoContent, ""), nil},
		"one that is not there is no error": {none, none, nil},
		"one that goes meanwhile is none":   {reply(http.StatusOK, myVolume), none, nil},
		"one in use is a conflict":          {reply(http.StatusOK, myVolume), refuse(http.StatusConflict, "volume is in use"), orchestrator.ErrConflict},
		"somebody else's is a conflict":     {reply(http.StatusOK, otherVolume), reply(http.StatusNoContent, ""), orchestrator.ErrConflict},
		"an engine that is gone is told":    {hangUp, none, orchestrator.ErrEngine},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.on("GET /volumes/w", c.inspect)
			d.on("DELETE /volumes/w", c.remove)
			err := d.engine().RemoveWorkspace(t.Context(), "w")
			if c.kind == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.kind)
			require.Zero(t, map[bool]int{true: d.count("DELETE /volumes/w")}[name == "somebody else's is a conflict"])
		})
	}
}

func TestListWorkspaces(t *testing.T) {
	d := newDaemon(t)
	d.on("GET /volumes", func(w http.ResponseWriter, r *http.Request) {
		require.JSONEq(t, `{"label":{"cubby.instance=test-instance":true,"cubby.workspace":true}}`, r.URL.Query().Get("filters"))
		reply(http.StatusOK, `{"Volumes":[{"Name":"a"},{"Name":"b"}]}`)(w, r)
	})
	names, err := d.engine().ListWorkspaces(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)
}
