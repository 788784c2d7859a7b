//go:build integration

package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	apiclient "cubby/api/client"
	"cubby/api/wire"
	"cubby/orchestrator/docker"
)

// starts is how many are measured for each number of contexts.
const starts = 5

// BenchmarkStart is the time from the start of the program, after the sudden death of another, until all contexts have
// answered a request that needs their variables. Beside it, in turn, the floor: an echo through an exec of its own in
// each of their containers, all at once, which is what the engine takes for as many bridges.
func BenchmarkStart(b *testing.B) {
	for _, contexts := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("%d contexts", contexts), func(b *testing.B) {
			p := newProgram(b)
			var ids []string
			p.start(b)
			for range contexts {
				cc, err := p.Create(b.Context(), wire.CreateContext{})
				require.NoError(b, err)
				ids = append(ids, cc.ID)
				require.NoError(b, p.execute(cc.ID, "x = 41", ""))
			}
			boxes := p.containers(b)
			require.Len(b, boxes, contexts)
			var floor, list, took []time.Duration
			for b.Loop() {
				for range starts {
					p.kill()
					floor = append(floor, timed(func() { require.NoError(b, together(boxes, p.echoOnce)) }))
					list = append(list, timed(func() { p.containers(b) }))
					took = append(took, timed(func() {
						p.start(b)
						require.NoError(b, together(ids, func(id string) error { return p.execute(id, "print(x + 1)", "42\n") }))
					}))
				}
			}
			report(b, "echoes", floor, "start", took)
			b.ReportMetric(percentile(took, 95).Seconds()*1e3, "start-p95-ms")
			b.ReportMetric(median(list).Seconds()*1e3, "list-ms")
		})
	}
}

// program is the server's program, to be killed and started again.
type program struct {
	*apiclient.Client
	sdk     *client.Client
	ctx     context.Context // the benchmark's
	address string
	state   string
	process *exec.Cmd
}

func newProgram(b *testing.B) *program {
	b.Helper()
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	endpoint := findEngine(b)
	address := listener.Addr().String()
	p := &program{Client: &apiclient.Client{URL: "http://" + address}, ctx: b.Context(), address: address, state: b.TempDir()}
	p.sdk, err = client.NewClientWithOpts(client.WithHost(endpoint.Host), client.WithAPIVersionNegotiation())
	require.NoError(b, err)
	b.Cleanup(func() {
		p.kill()
		ctx := context.Background()
		engine, err := docker.New(ctx, docker.Config{Endpoint: endpoint, Instance: p.instance(b)})
		require.NoError(b, err)
		_, err = engine.RemoveInstance(ctx)
		require.NoError(b, err)
	})
	return p
}

// instance is what the program's containers are labelled with.
func (p *program) instance(b *testing.B) string {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join(p.state, "instance"))
	require.NoError(b, err)
	return strings.TrimSpace(string(raw))
}

// start starts the program and waits until it answers.
func (p *program) start(b *testing.B) {
	b.Helper()
	args := []string{
		"serve", "--listen", p.address, "--state-dir", p.state, "--max-contexts", "200", "--default-contexts", "none",
		"--log-level", "error",
	}
	p.process = exec.Command("../../bin/cubby", args...) //nolint:noctx // killed
	p.process.Stderr = os.Stderr
	require.NoError(b, p.process.Start(), "make build")
	for deadline := time.Now().Add(5 * time.Minute); p.Health(b.Context()) != nil; time.Sleep(time.Millisecond) {
		require.True(b, time.Now().Before(deadline), "the program does not answer")
	}
}

// kill ends the program with no chance to do anything.
func (p *program) kill() {
	_ = p.process.Process.Kill()
	_ = p.process.Wait()
}

// execute runs code that prints want.
func (p *program) execute(id, code, want string) error {
	var out strings.Builder
	err := p.Execute(p.ctx, wire.Execute{ContextID: id, Code: code}, func(line wire.Line) error {
		switch line := line.(type) {
		case wire.Output:
			out.WriteString(line.Text)
		case wire.ExecutionError:
			out.WriteString(line.Name)
		}
		return nil
	})
	if err == nil && out.String() != want {
		err = fmt.Errorf("context %s printed %q instead of %q", id, out.String(), want)
	}
	return err
}

// containers lists the program's containers.
func (p *program) containers(b *testing.B) (ids []string) {
	b.Helper()
	ours := filters.NewArgs(filters.Arg("label", docker.LabelInstance+"="+p.instance(b)))
	found, err := p.sdk.ContainerList(b.Context(), container.ListOptions{Filters: ours})
	require.NoError(b, err)
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

// echoOnce starts a process in a container and has it send a line back.
func (p *program) echoOnce(containerID string) error {
	made, err := p.sdk.ContainerExecCreate(p.ctx, containerID, container.ExecOptions{
		AttachStdin: true, AttachStdout: true, Cmd: []string{"cat"},
	})
	if err != nil {
		return err
	}
	stream, err := p.sdk.ContainerExecAttach(p.ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := stream.Conn.Write([]byte("x + 1\n")); err != nil {
		return err
	}
	_, err = stream.Reader.ReadString('\n')
	return err
}

// together does something with each of the ids, all at once.
func together(ids []string, do func(id string) error) error {
	failed := make([]error, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { failed[i] = do(id) })
	}
	all.Wait()
	return errors.Join(failed...)
}
