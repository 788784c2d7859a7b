package docker

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

func TestImageID(t *testing.T) {
	d := newDaemon(t)
	d.on("GET /images/none/json", refuse(http.StatusNotFound, "No such image"))
	d.on("GET /images/cut/json", hangUp)
	e := d.engine()
	found, err := e.ImageID(t.Context(), "python")
	require.NoError(t, err)
	require.Equal(t, orchestrator.Image{ID: testDigest, Tag: "python"}, found)
	_, err = e.ImageID(t.Context(), "none")
	require.ErrorIs(t, err, orchestrator.ErrImageMissing)
	_, err = e.ImageID(t.Context(), "cut")
	require.ErrorIs(t, err, orchestrator.ErrEngine)
	require.NotErrorIs(t, err, orchestrator.ErrImageMissing)
}

func TestBuildImage(t *testing.T) {
	t.Run("asks for what the spec says, and shows how it goes", func(t *testing.T) {
		d := newDaemon(t)
		var query map[string][]string
		var sent []byte
		d.on("POST /build", func(w http.ResponseWriter, r *http.Request) {
			query = r.URL.Query()
			sent, _ = io.ReadAll(r.Body)
			reply(http.StatusOK, `{"stream":"Step 1/1 : FROM scratch\n"}{"aux":{"ID":"sha256:1"}}{"stream":"Successfully built 1\n"}`)(w, r)
		})
		var progress bytes.Buffer
		proxy := "http://proxy"
		require.NoError(t, d.engine().BuildImage(t.Context(), BuildSpec{
			Tag: "cubby/python:1", Context: strings.NewReader("tar"), Args: map[string]*string{"http_proxy": &proxy, "x": nil},
			Dockerfile: "Dockerfile.driver", Labels: map[string]string{"a": "b"}, Target: "final",
		}, &progress))
		require.Equal(t, "Step 1/1 : FROM scratch\nSuccessfully built 1\n", progress.String())
		require.Equal(t, "tar", string(sent))
		for key, want := range map[string]string{
			"t": "cubby/python:1", "dockerfile": "Dockerfile.driver", "target": "final", "networkmode": "host", "forcerm": "1", "version": "1",
			"buildargs": `{"http_proxy":"http://proxy","x":null}`, "labels": `{"a":"b","cubby.image":"cubby/python:1"}`,
		} {
			require.Equal(t, []string{want}, query[key], key)
		}
	})
	t.Run("a step that fails is the error", func(t *testing.T) {
		d := newDaemon(t)
		d.on("POST /build", reply(http.StatusOK, `{"stream":"Step 1/2\n"}{"errorDetail":{"code":1,"message":"The command '/bin/false' returned a non-zero code: 1"}}`))
		err := d.engine().BuildImage(t.Context(), BuildSpec{Tag: "x", Context: strings.NewReader("")}, nil)
		require.ErrorContains(t, err, "build x: The command '/bin/false' returned a non-zero code: 1")
	})
	t.Run("an engine that goes meanwhile is told", func(t *testing.T) {
		d := newDaemon(t)
		d.on("POST /build", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"stream":"Step`)
		})
		require.Error(t, d.engine().BuildImage(t.Context(), BuildSpec{Tag: "x", Context: strings.NewReader("")}, nil))
	})
}

func TestPullImage(t *testing.T) {
	d := newDaemon(t)
	d.on("POST /images/create", inTurn(
		reply(http.StatusOK, `{"status":"Pulling from library/debian","id":"trixie"}{"status":"Download complete","progressDetail":{},"id":"a"}`),
		reply(http.StatusOK, `{"errorDetail":{"message":"toomanyrequests"}}`),
		refuse(http.StatusNotFound, "manifest unknown"),
	))
	e := d.engine()
	var progress bytes.Buffer
	require.NoError(t, e.PullImage(t.Context(), "debian:trixie", &progress))
	require.Contains(t, progress.String(), "trixie: Pulling from library/debian")
	require.ErrorContains(t, e.PullImage(t.Context(), "debian:trixie", &progress), "pull debian:trixie: toomanyrequests")
	require.ErrorIs(t, e.PullImage(t.Context(), "debian:trixie", &progress), orchestrator.ErrNotFound)
}

func TestImportImage(t *testing.T) {
	d := newDaemon(t)
	d.on("POST /images/create", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		require.Equal(t, "-", query.Get("fromSrc"))
		require.Equal(t, "cubby/base", query.Get("repo"))
		require.Equal(t, []string{"ENV A=b", "LABEL cubby.image=cubby/base"}, query["changes"])
		reply(http.StatusOK, `{"status":"sha256:1"}`)(w, r)
	})
	require.NoError(t, d.engine().ImportImage(t.Context(), strings.NewReader("tar"), "cubby/base", []string{"ENV A=b"}))
}

func TestListImages(t *testing.T) {
	d := newDaemon(t)
	d.on("GET /images/json", func(w http.ResponseWriter, r *http.Request) {
		require.JSONEq(t, `{"label":{"cubby.image":true}}`, r.URL.Query().Get("filters"))
		reply(http.StatusOK, `[{"Id":"sha256:2","RepoTags":["z:1","a:1"],"Size":7,"Created":1735787045},
			{"Id":"sha256:3","RepoTags":["<none>:<none>"]},{"Id":"sha256:4"}]`)(w, r)
	})
	found, err := d.engine().ListImages(t.Context())
	require.NoError(t, err)
	at := time.Unix(1735787045, 0)
	require.Equal(t, []BuiltImage{
		{Image: orchestrator.Image{ID: "sha256:2", Tag: "a:1"}, SizeBytes: 7, CreatedAt: at},
		{Image: orchestrator.Image{ID: "sha256:2", Tag: "z:1"}, SizeBytes: 7, CreatedAt: at},
	}, found)
}

func TestPruneStages(t *testing.T) {
	for age, want := range map[time.Duration]string{
		0:         `{"dangling":{"true":true},"label":{"cubby.stage":true}}`,
		time.Hour: `{"dangling":{"true":true},"label":{"cubby.stage":true},"until":{"1h0m0s":true}}`,
	} {
		d := newDaemon(t)
		d.on("POST /images/prune", func(w http.ResponseWriter, r *http.Request) {
			require.JSONEq(t, want, r.URL.Query().Get("filters"))
			reply(http.StatusOK, `{}`)(w, r)
		})
		require.NoError(t, d.engine().PruneStages(t.Context(), "cubby.stage", age))
	}
	t.Run("somebody else's prune is waited for", func(t *testing.T) {
		d := newDaemon(t)
		busy := refuse(http.StatusConflict, "a prune operation is already running")
		d.on("POST /images/prune", inTurn(busy, busy, reply(http.StatusOK, `{}`)))
		require.NoError(t, d.engine().PruneStages(t.Context(), "cubby.stage", 0))
	})
}

func TestRemoveImage(t *testing.T) {
	d := newDaemon(t)
	d.on("DELETE /images/a", reply(http.StatusOK, `[]`))
	d.on("DELETE /images/none", refuse(http.StatusNotFound, "No such image"))
	d.on("DELETE /images/used", refuse(http.StatusConflict, "image is being used by running container"))
	e := d.engine()
	require.NoError(t, e.RemoveImage(t.Context(), "a"))
	require.NoError(t, e.RemoveImage(t.Context(), "none"))
	require.ErrorIs(t, e.RemoveImage(t.Context(), "used"), orchestrator.ErrConflict)
}

func TestToInfo(t *testing.T) {
	info := toInfo(types.Version{
		Version: "20.10.24", Arch: "arm64",
		Components: []types.ComponentVersion{{Name: "Engine", Version: "20.10.24"}, {Name: "runc", Version: "1.1.5"}, {Name: "containerd", Version: "1.6.20"}},
	}, system.Info{
		CgroupVersion: "2", CgroupDriver: "systemd", Driver: "overlay2", DockerRootDir: "/var/lib/docker", Architecture: "aarch64",
		MemoryLimit: true, PidsLimit: true, NCPU: 2, MemTotal: 7, Warnings: []string{"WARNING: No swap limit support"},
		Runtimes: map[string]system.RuntimeWithStatus{"runsc": {}, "runc": {}}, DefaultRuntime: "runc",
	})
	require.Equal(t, Info{
		Version: "20.10.24", Runc: "1.1.5", Containerd: "1.6.20", Architecture: "arm64", CgroupVersion: "2", CgroupDriver: "systemd",
		StorageDriver: "overlay2", RootDir: "/var/lib/docker", Runtimes: []string{"runc", "runsc"}, DefaultRuntime: "runc",
		CPUs: 2, MemoryBytes: 7, Dropped: []string{"swap", "cpus"}, Warnings: []string{"WARNING: No swap limit support"},
	}, info)
}

func TestInfo(t *testing.T) {
	d := newDaemon(t)
	d.on("GET /info", inTurn(reply(http.StatusOK, `{"NCPU":2}`), hangUp))
	e := d.engine()
	info, err := e.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1.41", info.API)
	require.Equal(t, "amd64", info.Architecture)
	require.Equal(t, d.host, info.Endpoint.Host)
	require.Equal(t, 2, info.CPUs)
	_, err = e.Info(t.Context())
	require.ErrorIs(t, err, orchestrator.ErrEngine)
}
