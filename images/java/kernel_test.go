//go:build integration

// Package java tests the Java driver inside its image, under the real supervisor.
package java

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
	folder, err := os.MkdirTemp("", "cubby-java")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	state, err := store.Open(folder)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	home, err := os.UserHomeDir()
	if err != nil {
		return 0, err
	}
	endpoint, err := docker.Find(ctx, docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), Home: home,
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
		err = errors.Join(err, removed)
	}()
	world, err = orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: built{engine}, Store: state, Logger: slog.New(slog.DiscardHandler),
		Languages: []orchestrator.Language{{Name: "java"}},
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

// built finds the images that make images has built.
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
	cc, err := world.Create(t.Context(), orchestrator.CreateRequest{Language: "java", Env: map[string]string{"A": "a"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, world.Remove(context.Background(), cc.ID)) })
	return &cell{t: t, id: cc.ID}
}

// run is one execution as it went.
type run struct {
	out, err string
	results  []result
	errors   []orchestrator.Event
	done     orchestrator.Event
}

type result struct {
	main bool
	data map[string]any
}

// want is what an execution must bring. Empty fields mean nothing of the kind.
type want struct {
	main, displays, out, err, error string
}

func (r *run) want() want {
	w := want{main: r.texts(true), displays: r.texts(false), out: r.out, err: r.err}
	if len(r.errors) > 0 {
		w.error = r.errors[0].Name + ": " + r.errors[0].Value
	}
	return w
}

func (r *run) texts(main bool) string {
	var texts []string
	for _, result := range r.results {
		if result.main == main {
			texts = append(texts, fmt.Sprint(result.data["text/plain"]))
		}
	}
	return strings.Join(texts, "\n")
}

// do runs code.
func (c *cell) do(code string) *run {
	c.t.Helper()
	return c.doWith(code, nil)
}

func (c *cell) doWith(code string, env map[string]string) *run {
	c.t.Helper()
	return c.collect(c.begin(code, env), nil)
}

func (c *cell) begin(code string, env map[string]string) *orchestrator.Execution {
	c.t.Helper()
	e, err := world.Execute(c.t.Context(), orchestrator.ExecuteRequest{Context: c.id, Code: code, Env: env})
	require.NoError(c.t, err)
	return e
}

// interrupt runs code that prints up first, and interrupts it as soon as it has.
func (c *cell) interrupt(code string) *run {
	c.t.Helper()
	e := c.begin("System.out.println(\"up\");\n"+code, nil)
	seen := false
	return c.collect(e, func(ev orchestrator.Event) {
		if ev.Type == kernel.TypeStdout && !seen {
			seen = true
			time.Sleep(100 * time.Millisecond) // until it is in what is meant
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
			r.results = append(r.results, result{ev.Main, decode(c.t, ev)})
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

func decode(t *testing.T, ev orchestrator.Event) map[string]any {
	t.Helper()
	data := map[string]any{}
	for mime, value := range ev.Data {
		var decoded any
		require.NoError(t, json.Unmarshal(value, &decoded))
		data[mime] = decoded
	}
	return data
}
