package docker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// newLittered returns a daemon with two containers, two volumes and two images of cubby, and what somebody made of one.
func newLittered(t *testing.T) *daemon {
	t.Helper()
	d := newDaemon(t)
	d.on("GET /containers/json", reply(http.StatusOK, `[{"Id":"c1","State":"running"},{"Id":"c2","State":"created"}]`))
	d.on("GET /volumes", reply(http.StatusOK, `{"Volumes":[{"Name":"v1"},{"Name":"v2"}]}`))
	d.on("GET /images/json", reply(http.StatusOK, `[
		{"Id":"sha256:1","RepoTags":["a:1","mine:1"],"Labels":{"cubby.image":"a:1"}},
		{"Id":"sha256:2","RepoTags":["<none>:<none>"],"Labels":{"cubby.image":"unfinished"}},
		{"Id":"sha256:3","RepoTags":["mine:2"],"Labels":{"cubby.image":"a:1"}}]`))
	d.on("DELETE /containers/c1", reply(http.StatusNoContent, ""))
	d.on("DELETE /volumes/v1", reply(http.StatusNoContent, ""))
	d.on("DELETE /volumes/v2", refuse(http.StatusNotFound, "went with its container"))
	d.on("DELETE /images/{ref}", reply(http.StatusOK, `[]`))
	return d
}

func TestRemoveAll(t *testing.T) {
	d := newLittered(t)
	d.on("DELETE /containers/c2", reply(http.StatusNoContent, ""))
	removed, err := d.engine().RemoveAll(t.Context())
	require.NoError(t, err)
	require.Equal(t, Removed{Containers: 2, Volumes: 1, Images: 2}, removed)
	for _, call := range []string{"DELETE /images/a:1", "DELETE /images/sha256:2"} {
		require.Equal(t, 1, d.count(call), call)
	}
	for _, call := range []string{"DELETE /images/mine:1", "DELETE /images/mine:2"} {
		require.Zero(t, d.count(call), "somebody else's tags, of ours and of what was built on it")
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

// stock is a daemon with these images, all of them cubby's, by their digests, each with its layers. Its containers are
// made of those that are used.
func stock(t *testing.T, images map[string]string, used ...string) *daemon {
	t.Helper()
	d := newDaemon(t)
	var listed, containers []string
	for digest, layers := range images {
		listed = append(listed, fmt.Sprintf(`{"Id":"sha256:%[1]s","RepoTags":["cubby-%[1]s:1"],"Labels":{"cubby.image":"cubby-%[1]s:1"}}`, digest))
		d.on("GET /images/sha256:"+digest+"/json", reply(http.StatusOK, fmt.Sprintf(`{"RootFS":{"Layers":[%s]}}`, layers)))
		d.on("DELETE /images/cubby-"+digest+":1", reply(http.StatusOK, `[]`))
	}
	for _, digest := range used {
		containers = append(containers, fmt.Sprintf(`{"Id":"c-%s","ImageID":"sha256:%s"}`, digest, digest))
	}
	d.on("GET /images/json", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Query().Get("filters"), "cubby.added") {
			reply(http.StatusOK, `[{"Id":"sha256:added","RepoTags":["cubby-added:1"]},{"Id":"sha256:other","RepoTags":["<none>:<none>"]}]`)(w, r)
			return
		}
		reply(http.StatusOK, "["+strings.Join(listed, ",")+"]")(w, r)
	})
	d.on("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.URL.Query().Get("filters"), "whoever made the container")
		require.Equal(t, "1", r.URL.Query().Get("all"), "stopped ones too")
		reply(http.StatusOK, "["+strings.Join(containers, ",")+"]")(w, r)
	})
	return d
}

func TestRemoveUnusedImages(t *testing.T) {
	images := map[string]string{
		"base": `"1"`, "packages": `"1","2"`, "new": `"1","2","3"`, "old": `"1","2","4"`, "other": `"5"`, "empty": ``,
		"added": `"7","8"`, "ground": `"7"`,
	}
	for name, tt := range map[string]struct {
		used []string
		kept []string
	}{
		"all go when nothing uses them":                    {},
		"what a container is made of stays, with its base": {[]string{"new", "new"}, []string{"base", "packages", "new"}},
		"what is built on a used one goes":                 {[]string{"packages"}, []string{"base", "packages"}},
		"an image of somebody else's counts as well":       {[]string{"foreign"}, []string{"base"}},
		"so does one without layers":                       {[]string{"empty"}, []string{"empty"}},
		"a container whose image has gone uses nothing":    {[]string{"gone"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := stock(t, images, tt.used...)
			d.on("GET /images/sha256:foreign/json", reply(http.StatusOK, `{"RootFS":{"Layers":["1","9"]}}`))
			d.on("GET /images/sha256:gone/json", refuse(http.StatusNotFound, "No such image"))
			removed, err := d.engine().RemoveUnusedImages(t.Context(), "cubby.added")
			require.NoError(t, err)
			tt.kept = append(tt.kept, "added", "ground") // what was added, and what that is built on
			require.Equal(t, len(images)-len(tt.kept), removed)
			for digest := range images {
				want := 1
				if slices.Contains(tt.kept, digest) {
					want = 0
				}
				require.Equal(t, want, d.count("DELETE /images/cubby-"+digest+":1"), digest)
			}
		})
	}
	t.Run("without knowing what is used nothing is removed", func(t *testing.T) {
		d := stock(t, images, "hidden")
		d.on("GET /images/sha256:hidden/json", refuse(http.StatusInternalServerError, "layer does not exist"))
		removed, err := d.engine().RemoveUnusedImages(t.Context(), "cubby.added")
		require.ErrorContains(t, err, "layer does not exist")
		require.Zero(t, removed)
		require.Equal(t, 1, d.count("GET /images/json"), "for those to keep")
	})
}
