package docker

import (
	"archive/tar"
	"fmt"
	"net/http"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

func TestImageFiles(t *testing.T) {
	const archiveCall = "GET /containers/c1/archive"
	look := func(t *testing.T, archive http.HandlerFunc) (*daemon, map[string][]byte, error) {
		t.Helper()
		d := newStarter(t, created, started)
		d.on(archiveCall, archive)
		files, err := d.engine().ImageFiles(t.Context(), "python", "/opt/cubby")
		return d, files, err
	}
	t.Run("are read from a container that is never started, and that goes again", func(t *testing.T) {
		d, files, err := look(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Docker-Container-Path-Stat", "e30=")
			archive := tar.NewWriter(w)
			for name, content := range map[string]string{"cubby/language.json": "{}", "cubby/sub/x": "x", "cubbyhole": "y"} {
				_ = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))})
				_, _ = archive.Write([]byte(content))
			}
			_ = archive.WriteHeader(&tar.Header{Name: "cubby/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"})
			_ = archive.WriteHeader(&tar.Header{Name: "cubby/large", Mode: 0o644, Size: maxImageFile + 1})
			_, _ = archive.Write(make([]byte, maxImageFile+1))
			_ = archive.Close()
		})
		require.NoError(t, err)
		require.Equal(t, map[string][]byte{"language.json": []byte("{}"), "sub/x": []byte("x")}, files)
		require.Zero(t, d.count(startCall))
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("are not read without end", func(t *testing.T) {
		d, _, err := look(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Docker-Container-Path-Stat", "e30=")
			archive := tar.NewWriter(w)
			for i := range maxImageFiles/maxImageFile + 1 {
				_ = archive.WriteHeader(&tar.Header{Name: fmt.Sprintf("cubby/%d", i), Mode: 0o644, Size: maxImageFile})
				_, _ = archive.Write(make([]byte, maxImageFile))
			}
			_ = archive.Close()
		})
		require.ErrorIs(t, err, errManyFiles)
		require.NotErrorIs(t, err, orchestrator.ErrEngine)
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("a directory that is not there has none", func(t *testing.T) {
		d, files, err := look(t, refuse(http.StatusNotFound, "Could not find the file"))
		require.NoError(t, err)
		require.Empty(t, files)
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("a container whose create was not answered goes as well", func(t *testing.T) {
		d := newStarter(t, hangUp, started)
		d.on("GET /containers/{name}/json", inspected("c1", testInstance, container.State{Status: "created"}))
		_, err := d.engine().ImageFiles(t.Context(), "python", "/opt/cubby")
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "look into image python")
		require.Equal(t, 1, d.count(removeCall))
	})
	t.Run("an engine that hangs up is told of", func(t *testing.T) {
		d, _, err := look(t, hangUp)
		require.ErrorIs(t, err, orchestrator.ErrEngine)
		require.ErrorContains(t, err, "read /opt/cubby of image python")
		require.Equal(t, 1, d.count(removeCall))
	})
}
