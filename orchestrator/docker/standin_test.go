//go:build integration

package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// The engine of these tests: the one that the docker CLI would use, for an instance of their own, and an image whose
// supervisor is the stand-in.
var (
	live     *Engine
	standin  orchestrator.Image
	hostProg string // the stand-in, for this machine
)

func TestMain(m *testing.M) {
	code, err := runWithEngine(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithEngine(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	home, _ := os.UserHomeDir()
	ep, err := Find(ctx, FindOptions{Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), Home: home})
	if err != nil {
		return 0, err
	}
	instance := "test-" + strings.ToLower(rand.Text()[:8])
	if live, err = New(ctx, Config{Endpoint: ep, Instance: instance}); err != nil {
		return 0, err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, removeErr := live.RemoveInstance(clean)
		err = errors.Join(err, removeErr, live.RemoveImage(clean, "cubby-test:"+instance),
			live.PruneStages(clean, "cubby.test="+instance, 0), live.Close())
	}()
	dir, err := os.MkdirTemp("", "cubby-standin")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := buildStandin(ctx, dir, instance); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

const standinDockerfile = `FROM scratch
COPY supervisor /opt/cubby/supervisor
ENTRYPOINT ["/nowhere"]
CMD ["nothing"]
USER 12345
WORKDIR /elsewhere
HEALTHCHECK --interval=1s CMD ["/nowhere"]`

// buildStandin compiles the stand-in for the engine's machine and for this one, and makes an image of it from nothing.
// The image says all that an image can say against the profile, but VOLUME.
func buildStandin(ctx context.Context, dir, instance string) error {
	info, err := live.Info(ctx)
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "supervisor")
	hostProg = filepath.Join(dir, "host")
	for out, env := range map[string][]string{program: {"GOOS=linux", "GOARCH=" + info.Architecture}, hostProg: nil} {
		compile := exec.CommandContext(ctx, "go", "build", "-o", out, "./testdata/standin")
		compile.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
		if said, err := compile.CombinedOutput(); err != nil {
			return fmt.Errorf("compile the stand-in: %w: %s", err, said)
		}
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	spec := BuildSpec{
		Tag:     "cubby-test:" + instance,
		Context: tarOf(map[string][]byte{"supervisor": data, "Dockerfile": []byte(standinDockerfile)}),
	}
	if err := live.BuildImage(ctx, spec, os.Stderr); err != nil {
		return err
	}
	standin, err = live.ImageID(ctx, spec.Tag)
	return err
}

func tarOf(files map[string][]byte) io.Reader {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, data := range files {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))})
		_, _ = w.Write(data)
	}
	_ = w.Close()
	return &archive
}

// realSpec is a container of the stand-in.
func realSpec() orchestrator.ContainerSpec {
	return orchestrator.ContainerSpec{
		Name: "cubby-test-" + strings.ToLower(rand.Text()[:10]), Image: standin.ID, UID: 1<<30 + 7,
		Limits: orchestrator.Limits{MemoryBytes: 128 << 20, CPUs: 0.5, PIDs: 64},
	}
}

func startReal(t *testing.T, spec orchestrator.ContainerSpec) string {
	t.Helper()
	id, err := live.Start(t.Context(), spec)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, live.Remove(ctx, id))
	})
	return id
}

// findReal returns the container as it is listed.
func findReal(t *testing.T, id string) (orchestrator.Container, bool) {
	t.Helper()
	all, err := live.List(t.Context())
	require.NoError(t, err)
	for _, c := range all {
		if c.ID == id {
			return c, true
		}
	}
	return orchestrator.Container{}, false
}

// receive waits for a value, within a limit.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// requireNothingNamed looks behind the adapter's own listing.
func requireNothingNamed(t *testing.T, name string) {
	t.Helper()
	_, err := live.api.ContainerInspect(t.Context(), name)
	require.ErrorIs(t, live.kind(t.Context(), err), orchestrator.ErrNotFound)
}

func requireNoVolumes(t *testing.T) {
	t.Helper()
	require.Empty(t, volumesOf(t))
}

// probeReal runs the stand-in's probe in a container.
func probeReal(t *testing.T, id string) map[string]string {
	t.Helper()
	stream, err := live.Attach(t.Context(), id)
	require.NoError(t, err)
	defer func() { require.NoError(t, stream.Close()) }()
	_, err = io.WriteString(stream, "probe\n")
	require.NoError(t, err)
	var answers map[string]string
	require.NoError(t, json.NewDecoder(stream).Decode(&answers))
	return answers
}
