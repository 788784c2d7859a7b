//go:build integration

// Package deno tests the driver of Deno inside its image, under the real supervisor, in what the conformance kit does not
// cover.
package deno

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
var world *orchestrator.Manager

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runAll runs the tests in a world.
func runAll(m *testing.M) (code int, err error) {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "cubby-deno")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	state, err := store.Open(folder)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	endpoint, err := docker.Find(ctx, docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), Home: os.Getenv("HOME"),
	})
	if err != nil {
		return 0, err
	}
	engine, err := docker.New(ctx, docker.Config{Endpoint: endpoint, Instance: state.Instance()})
	if err != nil {
		return 0, err
	}
	defer func() {
		_, removed := engine.RemoveInstance(ctx)
		err = errors.Join(err, removed, engine.Close())
	}()
	world, err = orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: built{engine}, Store: state, Logger: slog.New(slog.DiscardHandler),
		Languages: []orchestrator.Language{{Name: "deno"}},
	})
	if err != nil {
		return 0, err
	}
	if err := world.Adopt(ctx); err != nil {
		return 0, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- world.Run(running) }()
	defer func() { cancel(); <-ended }()
	return m.Run(), nil
}

// built finds the image of this folder's driver.
type built struct{ engine *docker.Engine }

func (b built) Image(ctx context.Context, language string) (orchestrator.Image, error) {
	info, err := b.engine.Info(ctx)
	if err != nil {
		return orchestrator.Image{}, err
	}
	tag, err := images.Tag(language, info.Architecture)
	if err != nil {
		return orchestrator.Image{}, err
	}
	return b.engine.ImageID(ctx, tag)
}

// cell is a context to run code in.
type cell struct {
	t  *testing.T
	id string
}

// boot creates a context, which is removed at the end of the test.
func boot(t *testing.T) *cell {
	t.Helper()
	cc, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "deno"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, world.Remove(context.Background(), cc.ID)) })
	return &cell{t: t, id: cc.ID}
}

// run is one execution as it went.
type run struct {
	out, err string
	results  []orchestrator.Event
	errors   []orchestrator.Event
	done     orchestrator.Event
}

// want is what an execution must bring. Empty fields mean nothing of the kind.
type want struct {
	main, out, err, error string
}

func (r *run) want() want {
	w := want{out: r.out, err: r.err}
	for _, ev := range r.results {
		if ev.Main {
			w.main += r.text(ev, "text/plain")
		}
	}
	for _, ev := range r.errors {
		w.error += ev.Name + ": " + ev.Value
	}
	return w
}

// text returns what a result has of a MIME type that is text.
func (r *run) text(ev orchestrator.Event, mime string) string {
	var text string
	if err := json.Unmarshal(ev.Data[mime], &text); err != nil {
		return string(ev.Data[mime])
	}
	return text
}

// do runs code.
func (c *cell) do(code string) *run {
	c.t.Helper()
	return c.collect(c.begin(code), nil)
}

func (c *cell) begin(code string) *orchestrator.Execution {
	c.t.Helper()
	e, err := world.Execute(c.t.Context(), orchestrator.ExecuteRequest{Context: c.id, Code: code})
	require.NoError(c.t, err)
	return e
}

// interruptAfter runs code, and interrupts it some time after an event of the type.
func (c *cell) interruptAfter(code string, after kernel.EventType, delay time.Duration) *run {
	c.t.Helper()
	e := c.begin(code)
	seen := false
	return c.collect(e, func(ev orchestrator.Event) {
		if ev.Type == after && !seen {
			seen = true
			time.Sleep(delay) // until it is in what is meant
			e.Interrupt()
		}
	})
}

// collect puts together what an execution tells until its done.
func (c *cell) collect(e *orchestrator.Execution, each func(orchestrator.Event)) *run {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	r := &run{}
	var out, err strings.Builder
	for {
		ev, failed := e.Next(ctx)
		if errors.Is(failed, io.EOF) {
			r.out, r.err = out.String(), err.String()
			return r
		}
		require.NoError(c.t, failed)
		switch ev.Type {
		case kernel.TypeStdout:
			out.WriteString(ev.Text)
		case kernel.TypeStderr:
			err.WriteString(ev.Text)
		case kernel.TypeResult:
			r.results = append(r.results, ev)
		case kernel.TypeError:
			r.errors = append(r.errors, ev)
		case kernel.TypeDone:
			r.done = ev
		}
		if each != nil {
			each(ev)
		}
	}
}
