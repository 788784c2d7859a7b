//go:build integration

package orchestrator_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// patience bounds every wait of these tests; it is no expectation.
const patience = 90 * time.Second

// world is a manager on the real engine, with an instance of its own that is removed with all it holds.
type world struct {
	*orchestrator.Manager
	engine *docker.Engine
	image  orchestrator.Image
	stop   func()
}

type fixedImage orchestrator.Image

func (f fixedImage) Image(context.Context, string) (orchestrator.Image, error) {
	return orchestrator.Image(f), nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	state, err := store.Open(t.TempDir())
	require.NoError(t, err)
	engine := newEngine(t, state.Instance())
	w := &world{engine: engine, image: pythonImage(t, engine)}
	w.Manager, err = orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: fixedImage(w.image), Store: state,
		Languages: []orchestrator.Language{{Name: "python", Aliases: []string{"py"}}},
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	require.NoError(t, w.Adopt(ctx))
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.Run(running) }()
	w.stop = func() { cancel(); <-ended }
	t.Cleanup(func() {
		w.stop()
		cleaning, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := engine.RemoveInstance(cleaning)
		require.NoError(t, err)
		require.NoError(t, state.Close())
	})
	return w
}

// newEngine returns the engine that the docker CLI would use.
func newEngine(t *testing.T, instance string) *docker.Engine {
	t.Helper()
	engine, err := docker.New(t.Context(), docker.Config{Endpoint: findEngine(t), Instance: instance})
	require.NoError(t, err)
	return engine
}

func findEngine(t *testing.T) docker.Endpoint {
	t.Helper()
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	endpoint, err := docker.Find(t.Context(), docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), Home: home,
	})
	require.NoError(t, err)
	return endpoint
}

func pythonImage(t *testing.T, engine *docker.Engine) orchestrator.Image {
	t.Helper()
	info, err := engine.Info(t.Context())
	require.NoError(t, err)
	tag, err := images.Tag("python", info.Architecture)
	require.NoError(t, err)
	image, err := engine.ImageID(t.Context(), tag)
	require.NoError(t, err, "make images builds it")
	return image
}

func (w *world) create(t *testing.T) string {
	t.Helper()
	cc, err := w.Create(t.Context(), orchestrator.CreateRequest{})
	require.NoError(t, err)
	return cc.ID
}

// outcome is what an execution told, put together.
type outcome struct {
	text, stdout, errName string
	done                  orchestrator.Event
	started               time.Time
}

func (w *world) run(t *testing.T, id, code string) outcome {
	t.Helper()
	e, err := w.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: code})
	require.NoError(t, err)
	return collect(t, e)
}

func collect(t *testing.T, e *orchestrator.Execution) (got outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out strings.Builder
	for {
		ev, err := e.Next(ctx)
		if errors.Is(err, io.EOF) {
			got.stdout = out.String()
			return got
		}
		require.NoError(t, err)
		switch ev.Type {
		case kernel.TypeStarted:
			got.started = time.Now()
		case kernel.TypeStdout:
			out.WriteString(ev.Text)
		case kernel.TypeResult:
			got.text = strings.Trim(string(ev.Data["text/plain"]), `"`)
		case kernel.TypeError:
			got.errName = ev.Name
		case kernel.TypeDone:
			got.done = ev
		}
	}
}
