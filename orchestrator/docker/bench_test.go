//go:build integration

package docker_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"cubby/api"
	apiclient "cubby/api/client"
	"cubby/api/wire"
	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/store"
)

// bench is a whole server in this process, on the real engine, and the engine's own client to measure against.
type bench struct {
	*apiclient.Client
	manager  *orchestrator.Manager
	sdk      *client.Client
	image    orchestrator.Image
	language string // of all contexts
}

type oneImage orchestrator.Image

func (i oneImage) Image(context.Context, string) (orchestrator.Image, error) {
	return orchestrator.Image(i), nil
}

func newBench(b *testing.B) *bench {
	b.Helper()
	return newBenchOf(b, "python")
}

func newBenchOf(b *testing.B, language string) *bench {
	b.Helper()
	ctx := b.Context()
	state, err := store.Open(b.TempDir())
	require.NoError(b, err)
	endpoint := findEngine(b)
	engine, err := docker.New(ctx, docker.Config{Endpoint: endpoint, Instance: state.Instance()})
	require.NoError(b, err)
	w := &bench{language: language}
	w.sdk, err = client.NewClientWithOpts(client.WithHost(endpoint.Host), client.WithAPIVersionNegotiation())
	require.NoError(b, err)
	info, err := engine.Info(ctx)
	require.NoError(b, err)
	tag, err := images.Tag(language, info.Architecture)
	require.NoError(b, err)
	w.image, err = engine.ImageID(ctx, tag)
	require.NoError(b, err)
	quiet := slog.New(slog.DiscardHandler)
	w.manager, err = orchestrator.New(orchestrator.Config{
		Engine: engine, Workspaces: engine, Images: oneImage(w.image), Store: state, Logger: quiet,
		Languages: []orchestrator.Language{{Name: language}},
	})
	require.NoError(b, err)
	require.NoError(b, w.manager.Adopt(ctx))
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.manager.Run(running) }()
	server := httptest.NewServer(api.New(api.Config{Contexts: w.manager, Logger: quiet}))
	w.Client = &apiclient.Client{URL: server.URL}
	b.Cleanup(func() {
		server.Close()
		stop()
		<-ended
		_, err := engine.RemoveInstance(context.Background())
		require.NoError(b, err)
	})
	return w
}

// findEngine returns the engine that the docker CLI would use.
func findEngine(b *testing.B) docker.Endpoint {
	b.Helper()
	home, err := os.UserHomeDir()
	require.NoError(b, err)
	endpoint, err := docker.Find(b.Context(), docker.FindOptions{Host: os.Getenv("DOCKER_HOST"), Home: home})
	require.NoError(b, err)
	return endpoint
}

func (w *bench) create(b *testing.B) wire.Context {
	b.Helper()
	cc, err := w.Create(b.Context(), wire.CreateContext{Language: w.language})
	require.NoError(b, err)
	return cc
}

// container returns the engine's id of a context's container.
func (w *bench) container(b *testing.B, id string) string {
	b.Helper()
	cc, err := w.manager.Get(b.Context(), id)
	require.NoError(b, err)
	return cc.Container
}

func (w *bench) onePlusOne(b *testing.B, id string) {
	var text string
	require.NoError(b, w.Execute(b.Context(), wire.Execute{ContextID: id, Code: "1+1"}, func(line wire.Line) error {
		if result, ok := line.(wire.Result); ok {
			text = *result.Text
		}
		return nil
	}))
	require.Equal(b, "2", text)
}

// BenchmarkRoundTrip is 1+1 over HTTP beside the floor, an echo of one line by cat through exec attach in the same
// container, in turn.
func BenchmarkRoundTrip(b *testing.B) {
	w := newBench(b)
	id := w.create(b).ID
	echo := w.echo(b, w.container(b, id))
	for range 20 { // warm up
		echo()
		w.onePlusOne(b, id)
	}
	var floor, http []time.Duration
	for b.Loop() {
		floor = append(floor, timed(echo))
		http = append(http, timed(func() { w.onePlusOne(b, id) }))
	}
	report(b, "echo", floor, "http", http)
}

// echo returns a function that sends a line through an exec's attach stream and waits for it to come back.
func (w *bench) echo(b *testing.B, containerID string) func() {
	b.Helper()
	made, err := w.sdk.ContainerExecCreate(b.Context(), containerID, container.ExecOptions{
		AttachStdin: true, AttachStdout: true, Cmd: []string{"cat"},
	})
	require.NoError(b, err)
	stream, err := w.sdk.ContainerExecAttach(b.Context(), made.ID, container.ExecAttachOptions{})
	require.NoError(b, err)
	b.Cleanup(stream.Close)
	lines := bufio.NewReader(stream.Reader)
	return func() {
		_, err := stream.Conn.Write([]byte("1+1\n"))
		require.NoError(b, err)
		_, err = lines.ReadString('\n')
		require.NoError(b, err)
	}
}

// BenchmarkColdCreate is a create, until the context answers, beside `docker run` of the same image, in turn.
func BenchmarkColdCreate(b *testing.B) {
	w := newBench(b)
	var run, create, remove []time.Duration
	for b.Loop() {
		run = append(run, timed(func() {
			out, err := exec.CommandContext(b.Context(), "docker", "run", "--rm", "--network", "none", w.image.ID, "true").CombinedOutput()
			require.NoError(b, err, string(out))
		}))
		var cc wire.Context
		create = append(create, timed(func() { cc = w.create(b); w.onePlusOne(b, cc.ID) }))
		remove = append(remove, timed(func() { require.NoError(b, w.Remove(b.Context(), cc.ID)) }))
	}
	report(b, "docker-run", run, "create", create)
	b.ReportMetric(median(remove).Seconds()*1e3, "remove-ms")
}

// BenchmarkRestart is a restart, until the context answers.
func BenchmarkRestart(b *testing.B) {
	w := newBench(b)
	id := w.create(b).ID
	var took []time.Duration
	for b.Loop() {
		took = append(took, timed(func() {
			require.NoError(b, w.Restart(b.Context(), id))
			w.onePlusOne(b, id)
		}))
	}
	b.ReportMetric(median(took).Seconds()*1e3, "restart-ms")
}

// BenchmarkIdleMemory is the proportional set size of all processes of an idle context, the engine's shim included.
func BenchmarkIdleMemory(b *testing.B) {
	w := newBench(b)
	var pss []float64
	for range 5 {
		id := w.create(b).ID
		w.onePlusOne(b, id)
	}
	contexts, err := w.List(b.Context())
	require.NoError(b, err)
	for b.Loop() {
		for _, cc := range contexts {
			pss = append(pss, w.pss(b, w.container(b, cc.ID)))
		}
	}
	slices.Sort(pss)
	b.ReportMetric(pss[len(pss)/2], "MiB/context")
}

func (w *bench) pss(b *testing.B, containerID string) (mib float64) {
	b.Helper()
	inspected, err := w.sdk.ContainerInspect(b.Context(), containerID)
	require.NoError(b, err)
	top, err := w.sdk.ContainerTop(b.Context(), containerID, []string{"-o", "pid"})
	require.NoError(b, err)
	pids := []string{parent(b, inspected.State.Pid)}
	for _, row := range top.Processes {
		pids = append(pids, row[0])
	}
	for _, pid := range pids {
		raw, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		require.NoError(b, err)
		for line := range bytes.Lines(raw) {
			if kib, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				n, err := strconv.ParseFloat(strings.Fields(string(kib))[0], 64)
				require.NoError(b, err)
				mib += n / 1024
			}
		}
	}
	return mib
}

// parent returns the pid of a process's parent: the shim, for a container's PID 1.
func parent(b *testing.B, pid int) string {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err)
	_, rest, ok := strings.Cut(string(raw), "PPid:\t")
	require.True(b, ok)
	ppid, _, _ := strings.Cut(rest, "\n")
	return ppid
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func median(took []time.Duration) time.Duration { return percentile(took, 50) }

// percentile returns what so many of a hundred took at the most.
func percentile(took []time.Duration, p int) time.Duration {
	slices.Sort(took)
	return took[min(len(took)*p/100, len(took)-1)]
}

// report gives the medians of two things that were measured in turn, and how many times the first the second is.
func report(b *testing.B, floorName string, floor []time.Duration, name string, took []time.Duration) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // the two together say nothing
	b.ReportMetric(median(floor).Seconds()*1e3, floorName+"-ms")
	b.ReportMetric(median(took).Seconds()*1e3, name+"-ms")
	b.ReportMetric(float64(median(took))/float64(median(floor)), "x")
}
