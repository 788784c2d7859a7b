package imagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/store"
)

// patience bounds every wait; it is no expectation.
const patience = 90 * time.Second

// World is a manager on the real engine, with an instance of its own that is removed with all it holds. The fields are
// set before Open and not changed thereafter.
type World struct {
	Languages []orchestrator.Language
	Tag       Tag          // names their images, which are looked for when they are needed
	Logger    *slog.Logger // nil: nothing is logged

	*orchestrator.Manager // from Open to Close

	engine *docker.Engine
	undo   []func() error // what has been opened, in that order
}

var _ orchestrator.Images = (*World)(nil)

// Main is the TestMain of a package whose tests share the world. It returns the exit code.
func (w *World) Main(m *testing.M) int {
	if err := w.Open(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := w.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// Open connects to the engine and starts the manager. After an error nothing is left.
func (w *World) Open(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return errors.Join(err, w.Close())
	}
	return nil
}

func (w *World) open(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "cubby-imagetest-")
	if err != nil {
		return err
	}
	w.undo = append(w.undo, func() error { return os.RemoveAll(folder) })
	state, err := store.Open(folder)
	if err != nil {
		return err
	}
	w.undo = append(w.undo, state.Close)
	engine, err := NewEngine(ctx, state.Instance())
	if err != nil {
		return err
	}
	w.engine = engine
	w.undo = append(w.undo, engine.Close, func() error {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, err := engine.RemoveInstance(cleaning)
		return err
	})
	w.Manager, err = orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: w, Store: state, Languages: w.Languages,
		Logger: cmp.Or(w.Logger, slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return err
	}
	if err := w.Adopt(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.Run(running) // which only tells that it was stopped
	}()
	w.undo = append(w.undo, func() error { stop(); <-ended; return nil })
	return nil
}

// Close stops the manager and removes what it and its contexts have left, all of it even where a part fails.
func (w *World) Close() error {
	var errs []error
	for _, undo := range slices.Backward(w.undo) {
		errs = append(errs, undo())
	}
	w.undo = nil
	return errors.Join(errs...)
}

// Image implements orchestrator.Images.
func (w *World) Image(ctx context.Context, language string) (orchestrator.Image, error) {
	return FindImage(ctx, w.engine, language, w.Tag)
}

// Boot creates a context, which is removed at the end of the test.
func (w *World) Boot(t *testing.T, req orchestrator.CreateRequest) *Context {
	t.Helper()
	cc, err := w.Create(t.Context(), req)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Remove(context.WithoutCancel(t.Context()), cc.ID)) })
	return &Context{t: t, manager: w.Manager, id: cc.ID}
}
