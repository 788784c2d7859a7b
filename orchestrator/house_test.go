package orchestrator_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/enginetest"
	"cubby/orchestrator/kernel"
	"cubby/orchestrator/store"
)

// soon bounds every wait of these tests; it is no expectation.
const soon = 10 * time.Second

// house is a manager on a fake engine. The engine and the state directory outlive it, as they outlive a server.
type house struct {
	*orchestrator.Manager
	t      *testing.T
	engine *enginetest.Engine
	dir    string
	store  *store.Store
	stop   func()
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, engine: enginetest.New(t), dir: t.TempDir()}
	h.open(orchestrator.Config{})
	t.Cleanup(func() { h.close() })
	return h
}

// open starts a manager on what an earlier one has left.
func (h *house) open(cfg orchestrator.Config) {
	h.t.Helper()
	var err error
	h.store, err = store.Open(h.dir)
	require.NoError(h.t, err)
	cfg.Workspaces, cfg.Images, cfg.Store = h.engine, h.engine, h.store
	if cfg.Engine == nil {
		cfg.Engine = h.engine
	}
	cfg.Languages = []orchestrator.Language{{Name: "python", Aliases: []string{"py"}}, {Name: "other"}}
	cfg.Logger = slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Manager, err = orchestrator.New(cfg)
	require.NoError(h.t, err)
	require.NoError(h.t, h.Adopt(h.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() { cancel(); <-ended; require.NoError(h.t, h.store.Close()) })
}

func (h *house) close() { h.stop() }

// reopen ends the manager as a crash would, as far as containers and store can tell, and starts the next one.
func (h *house) reopen() {
	h.t.Helper()
	h.close()
	h.open(orchestrator.Config{})
}

func (h *house) create() string {
	h.t.Helper()
	cc, err := h.Create(h.t.Context(), orchestrator.CreateRequest{})
	require.NoError(h.t, err)
	return cc.ID
}

func (h *house) start(id, code string) *orchestrator.Execution {
	h.t.Helper()
	e, err := h.Execute(h.t.Context(), orchestrator.ExecuteRequest{Context: id, Code: code})
	require.NoError(h.t, err)
	return e
}

// told is what an execution says, in short: "hi\n", "=value", "!NameError", and its ending and state.
type told struct {
	text   string
	ending kernel.Ending
	state  kernel.State
}

func (h *house) run(id, code string) told { h.t.Helper(); return h.listen(h.start(id, code)) }

func (h *house) listen(e *orchestrator.Execution) told {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), soon)
	defer cancel()
	var text strings.Builder
	var last orchestrator.Event
	for {
		ev, err := e.Next(ctx)
		if errors.Is(err, io.EOF) {
			require.Equal(h.t, kernel.TypeDone, last.Type, "the done is last")
			return told{text.String(), last.Ending, last.State}
		}
		require.NoError(h.t, err)
		switch ev.Type {
		case kernel.TypeStdout:
			text.WriteString(ev.Text)
		case kernel.TypeResult:
			text.WriteString("=" + strings.Trim(string(ev.Data["text/plain"]), `"`))
		case kernel.TypeError:
			text.WriteString("!" + ev.Name)
		}
		last = ev
	}
}

func (h *house) get(id string) orchestrator.CodeContext {
	h.t.Helper()
	cc, err := h.Get(h.t.Context(), id)
	require.NoError(h.t, err)
	return cc
}

// eventually waits until the context is in a state.
func (h *house) eventually(id string, state orchestrator.State) orchestrator.CodeContext {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.get(id).State == state }, soon, time.Millisecond, "state %s, now %+v", state, h.get(id))
	return h.get(id)
}

func (h *house) reached(gate string) {
	h.t.Helper()
	select {
	case <-h.engine.Waiting(gate):
	case <-time.After(soon):
		h.t.Fatalf("nothing has reached gate %s", gate)
	}
}

func (h *house) containers() []orchestrator.Container {
	h.t.Helper()
	list, err := h.engine.List(h.t.Context())
	require.NoError(h.t, err)
	return list
}
