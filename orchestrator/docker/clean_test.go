package docker

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// newLittered returns a daemon with two containers, two volumes and two images of cubby.
func newLittered(t *testing.T) *daemon {
	t.Helper()
	d := newDaemon(t)
	d.on("GET /containers/json", reply(http.StatusOK, `[{"Id":"c1","State":"running"},{"Id":"c2","State":"created"}]`))
	d.on("GET /volumes", reply(http.StatusOK, `{"Volumes":[{"Name":"v1"},{"Name":"v2"}]}`))
	d.on("GET /images/json", reply(http.StatusOK, `[{"Id":"sha256:1","RepoTags":["a:1","b:1"]},{"Id":"sha256:2","RepoTags":["<none>:<none>"]}]`))
	d.on("DELETE /containers/c1", reply(http.StatusNoContent, ""))
	d.on("DELETE /volumes/v1", reply(http.StatusNoContent, ""))
	d.on("DELETE /volumes/v2", refuse(http.StatusNotFound, "went with its container"))
	d.on("DELETE /images/a:1", reply(http.StatusOK, `[]`))
	d.on("DELETE /images/b:1", reply(http.StatusOK, `[]`))
	d.on("DELETE /images/sha256:2", reply(http.StatusOK, `[]`))
	return d
}

func TestRemoveAll(t *testing.T) {
	d := newLittered(t)
	d.on("DELETE /containers/c2", reply(http.StatusNoContent, ""))
	removed, err := d.engine().RemoveAll(t.Context())
	require.NoError(t, err)
	require.Equal(t, Removed{Containers: 2, Volumes: 1, Images: 2}, removed)
	for _, call := range []string{"DELETE /images/a:1", "DELETE /images/b:1", "DELETE /images/sha256:2"} {
		require.Equal(t, 1, d.count(call), call)
	}
}

func TestRemoveAllGoesOnAfterAnError(t *testing.T) {
	d := newLittered(t)
	d.on("DELETE /containers/c2", refuse(http.StatusBadRequest, "no"))
	removed, err := d.engine().RemoveAll(t.Context())
	require.ErrorIs(t, err, orchestrator.ErrInvalid)
	require.Equal(t, Removed{Containers: 1, Volumes: 1, Images: 2}, removed)
}

func TestRemoveInstanceLeavesImagesAndOtherInstances(t *testing.T) {
	d := newDaemon(t)
	for _, call := range []string{"GET /containers/json", "GET /volumes"} {
		d.on(call, func(w http.ResponseWriter, r *http.Request) {
			require.JSONEq(t, `{"label":{"cubby.instance=test-instance":true}}`, r.URL.Query().Get("filters"))
			reply(http.StatusOK, map[bool]string{true: `{}`, false: `[]`}[r.URL.Path == "/volumes"])(w, r)
		})
	}
	removed, err := d.engine().RemoveInstance(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)
	require.Zero(t, d.count("GET /images/json"))
}
