//go:build integration

// Package python tests the Python driver inside its image, as the supervisor would use it.
package python

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/images/imagetest"
)

//go:embed testdata/relay.py
var relay string

// testLabel marks the containers of these tests.
const testLabel = "cubby.test=python-driver"

// image is the Python image that is tested.
var image string

func TestMain(m *testing.M) {
	var err error
	image, err = findImage(context.Background(), "python")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// findImage finds a Python image with this driver.
func findImage(ctx context.Context, name string) (string, error) {
	engine, err := imagetest.NewEngine(ctx, "python-driver-test")
	if err != nil {
		return "", err
	}
	found, err := imagetest.FindImage(ctx, engine, name, images.Tag)
	return found.ID, errors.Join(err, engine.Close())
}

// event is a frame of the driver, or what the relay tells of it.
type event struct {
	Type      string         `json:"type"`
	N         int            `json:"n"` // stdout, stderr: of which execution, counted from 1
	Text      string         `json:"text"`
	Count     int            `json:"count"`
	Data      map[string]any `json:"data"`
	Main      bool           `json:"main"`
	Name      string         `json:"name"`
	Value     string         `json:"value"`
	Traceback string         `json:"traceback"`
	Status    int            `json:"status"`
}

// driver is a driver in a container of its own.
type driver struct {
	t          *testing.T
	requests   io.Writer
	events     chan event
	executions int
}

// boot starts a driver and sets it up in the workspace, with the variable A.
func boot(t *testing.T) *driver {
	t.Helper()
	d := bootOnly(t, image)
	require.Equal(t, "ready", d.setup("/home/user", map[string]string{"A": "a"}).Type)
	return d
}

func bootOnly(t *testing.T, image string) *driver {
	t.Helper()
	// As the profile of a context has it: a user without a name of the image's, and nothing to write to but tmpfs.
	cmd := exec.CommandContext(t.Context(), "docker", "run", "--rm", "-i", "--label", testLabel,
		"--network=none", "--read-only", "--memory=1g", "--pids-limit=256", "--ulimit=nofile=1024:4096", "--user=12345:12345",
		"--env=HOME=/home/user", "--tmpfs=/tmp:exec,mode=1777", "--tmpfs=/home/user:exec,mode=1777",
		image, "python3", "-I", "-c", relay)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	d := &driver{t: t, requests: stdin, events: make(chan event, 100_000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(d.events)
		lines := bufio.NewReader(stdout)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var ev event
			if json.Unmarshal(line, &ev) == nil {
				d.events <- ev
			}
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close() // which ends the relay, and with it the container
		<-read
		_ = cmd.Wait()
	})
	require.Equal(t, "boot", d.next().Type)
	return d
}

func (d *driver) ask(request map[string]any) {
	d.t.Helper()
	line, err := json.Marshal(request)
	require.NoError(d.t, err)
	_, err = d.requests.Write(append(line, '\n'))
	require.NoError(d.t, err)
}

func (d *driver) next() event {
	d.t.Helper()
	select {
	case ev, ok := <-d.events:
		require.True(d.t, ok, "the container ended")
		return ev
	case <-time.After(30 * time.Second):
		require.Fail(d.t, "the driver is silent")
		return event{}
	}
}

func (d *driver) setup(cwd string, env map[string]string) event {
	d.t.Helper()
	d.ask(map[string]any{"op": "setup", "cwd": cwd, "env": env})
	return d.next()
}

// run is one execution as it went.
type run struct {
	started int // the count
	results []event
	errors  []event
	stdout  []string // of the execution itself
	stderr  []string
	other   []event // output of other executions
	dying   string  // the driver's last words
	exited  bool
	status  int
}

func (r *run) error() string {
	if len(r.errors) == 0 {
		return ""
	}
	return r.errors[0].Name
}

// mains returns the text of the main results, one a line.
func (r *run) mains() string { return r.texts(true) }

// displays returns the text of the other results, one a line.
func (r *run) displays() string { return r.texts(false) }

func (r *run) texts(main bool) string {
	var texts []string
	for _, ev := range r.results {
		if ev.Main == main {
			texts = append(texts, fmt.Sprint(ev.Data["text/plain"]))
		}
	}
	return strings.Join(texts, "\n")
}

func (r *run) out() string { return strings.Join(r.stdout, "") }
func (r *run) err() string { return strings.Join(r.stderr, "") }

// do runs a cell.
func (d *driver) do(code string) *run {
	d.t.Helper()
	return d.doWith(code, nil)
}

func (d *driver) doWith(code string, env map[string]string) *run {
	d.t.Helper()
	d.begin(code, env)
	return d.finish()
}

func (d *driver) begin(code string, env map[string]string) {
	d.t.Helper()
	d.executions++
	d.ask(map[string]any{"op": "execute", "id": "x", "code": code, "env": env})
}

// finish collects what the running execution tells until its done.
func (d *driver) finish() *run {
	d.t.Helper()
	r := &run{}
	for {
		ev := d.next()
		switch ev.Type {
		case "started":
			r.started = ev.Count
		case "result":
			r.results = append(r.results, ev)
		case "error":
			r.errors = append(r.errors, ev)
		case "stdout", "stderr":
			r.print(ev, d.executions)
		case "dying":
			r.dying = ev.Value
		case "exited":
			r.exited, r.status = true, ev.Status
			return r
		case "done":
			require.LessOrEqual(d.t, len(r.errors), 1)
			return r
		default:
			require.Failf(d.t, "unexpected event", "%+v", ev)
		}
	}
}

func (r *run) print(ev event, execution int) {
	switch {
	case ev.N != execution:
		r.other = append(r.other, ev)
	case ev.Type == "stdout":
		r.stdout = append(r.stdout, ev.Text)
	default:
		r.stderr = append(r.stderr, ev.Text)
	}
}

// interrupt runs a cell that prints "up", interrupts it as soon as it has, and does what the supervisor then does.
func (d *driver) interrupt(code string) *run {
	d.t.Helper()
	d.begin("print('up', flush=True)\n"+code, nil)
	for {
		ev := d.next()
		if ev.Type == "stdout" && ev.N == d.executions {
			break
		}
		require.Contains(d.t, []string{"started", "stdout", "stderr"}, ev.Type)
	}
	time.Sleep(50 * time.Millisecond) // until it is in the statement that is meant
	d.ask(map[string]any{"op": "interrupt"})
	r := d.finish()
	d.ping()
	return r
}

func (d *driver) ping() {
	d.t.Helper()
	d.ask(map[string]any{"op": "ping"})
	for ev := d.next(); ev.Type != "pong"; ev = d.next() {
		require.Contains(d.t, []string{"stdout", "stderr"}, ev.Type)
	}
}
