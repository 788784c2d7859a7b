package main

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/enginetest"
)

// fakeEngine is an engine in memory whose images are what the test says.
type fakeEngine struct {
	*enginetest.Engine
	info    docker.Info
	missing map[string]bool // tags that are not there
	built   []docker.BuiltImage
	removed docker.Removed
	cleaned []string // what was removed

	files     map[string][]byte // of every image, in /opt/cubby
	inUse     map[string]bool   // tags that a container uses
	buildings []string          // the tags of what was built
	listings  int               // how often images were listed

	removeErr error // what removing an instance fails with

	mu      sync.Mutex
	started []orchestrator.ContainerSpec
}

func newFakeEngine(t *testing.T) *fakeEngine {
	t.Helper()
	return &fakeEngine{
		Engine: enginetest.New(t), missing: map[string]bool{},
		info: docker.Info{
			Endpoint: docker.Endpoint{Host: "tcp://10.0.0.1:2376", Source: "DOCKER_HOST"}, Version: "28.5.2", API: "1.51",
			Runc: "1.3.3", Containerd: "2.1.5", OS: "Debian GNU/Linux 13 (trixie)", Architecture: "amd64",
			CgroupVersion: "2", CgroupDriver: "systemd", Runtimes: []string{"runc", "runsc"}, DefaultRuntime: "runc",
		},
	}
}

func (e *fakeEngine) Start(ctx context.Context, spec orchestrator.ContainerSpec) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started = append(e.started, spec)
	return e.Engine.Start(ctx, spec)
}

func (e *fakeEngine) Info(context.Context) (docker.Info, error) { return e.info, nil }

func (e *fakeEngine) ImageID(_ context.Context, tag string) (orchestrator.Image, error) {
	if e.missing[tag] {
		return orchestrator.Image{}, orchestrator.ErrImageMissing
	}
	return orchestrator.Image{ID: "sha256:" + tag, Tag: tag}, nil
}

func (e *fakeEngine) ListImages(context.Context) ([]docker.BuiltImage, error) {
	e.listings++
	return e.built, nil
}

func (e *fakeEngine) PullImage(context.Context, string, io.Writer) error { return nil }

func (e *fakeEngine) ImportImage(context.Context, io.Reader, string, []string) error { return nil }

func (e *fakeEngine) BuildImage(_ context.Context, spec docker.BuildSpec, _ io.Writer) error {
	e.buildings = append(e.buildings, spec.Tag)
	e.built = append(e.built, docker.BuiltImage{Image: orchestrator.Image{ID: "sha256:" + spec.Tag, Tag: spec.Tag}, Labels: spec.Labels})
	return nil
}

func (e *fakeEngine) ImageFiles(_ context.Context, _, dir string) (map[string][]byte, error) {
	if dir == "/opt/cubby" {
		return e.files, nil
	}
	return nil, nil
}

func (e *fakeEngine) RemoveImage(_ context.Context, ref string) error {
	if e.inUse[ref] {
		return orchestrator.ErrConflict
	}
	e.cleaned = append(e.cleaned, "image "+ref)
	e.built = slices.DeleteFunc(e.built, func(image docker.BuiltImage) bool { return image.Tag == ref })
	return nil
}

func (e *fakeEngine) PruneStages(_ context.Context, label string, _ time.Duration) error {
	e.cleaned = append(e.cleaned, "stages "+label)
	return nil
}

func (e *fakeEngine) RemoveUnusedImages(_ context.Context, keep string) (int, error) {
	e.cleaned = append(e.cleaned, "unused images but "+keep)
	return e.removed.Images, nil
}

func (e *fakeEngine) RemoveAll(context.Context) (docker.Removed, error) {
	e.cleaned = append(e.cleaned, "all")
	return e.removed, nil
}

func (e *fakeEngine) Close() error { return nil }

// instanceEngine is the engine as one instance sees it.
type instanceEngine struct {
	*fakeEngine
	instance string
}

func (e instanceEngine) RemoveInstance(context.Context) (docker.Removed, error) {
	e.cleaned = append(e.cleaned, "instance "+e.instance)
	return docker.Removed{Containers: e.removed.Containers, Volumes: e.removed.Volumes}, e.removeErr
}

func TestRuntimeThatTheEngineDoesNotHave(t *testing.T) {
	for _, args := range [][]string{{"serve", "--listen=127.0.0.1:0"}, {"run", "-c", "print a"}} {
		c := newCLI(t)
		code, stdout, stderr := c.run(append(args, "--runtime=kata")...)
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, `cubby: runtime: the engine has no runtime "kata", but runc, runsc; `+
			`add it to the engine's daemon.json, or choose another with --runtime`)
		require.Empty(t, stdout)
		require.Empty(t, c.engine.started)
	}
}
