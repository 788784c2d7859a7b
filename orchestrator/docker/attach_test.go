package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// bridge answers the start of an exec: it switches protocols and lets run speak.
func bridge(run func(conn net.Conn, in *bufio.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		run(conn, buffered.Reader)
	}
}

// says is a bridge that prints and ends. The pieces are names of streams and what is printed, in turn.
func says(pieces ...string) http.HandlerFunc {
	return bridge(func(conn net.Conn, _ *bufio.Reader) {
		streams := map[string]stdcopy.StdType{"out": stdcopy.Stdout, "err": stdcopy.Stderr, "engine": stdcopy.Systemerr}
		for i := 0; i < len(pieces); i += 2 {
			if pieces[i] == "raw" {
				_, _ = io.WriteString(conn, pieces[i+1])
				continue
			}
			_, _ = stdcopy.NewStdWriter(conn, streams[pieces[i]]).Write([]byte(pieces[i+1]))
		}
	})
}

// newAttachable returns a daemon with a container c1 whose bridge is run.
func newAttachable(t *testing.T, run http.HandlerFunc) *daemon {
	t.Helper()
	d := newDaemon(t)
	d.on("POST /containers/c1/exec", reply(http.StatusCreated, `{"Id":"x1"}`))
	d.on("POST /exec/x1/start", run)
	return d
}

func TestAttach(t *testing.T) {
	t.Run("frames go both ways, and the standard error stays out", func(t *testing.T) {
		d := newAttachable(t, bridge(func(conn net.Conn, in *bufio.Reader) {
			_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stderr).Write([]byte("noise"))
			out := stdcopy.NewStdWriter(conn, stdcopy.Stdout)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = out.Write([]byte(line))
			}
		}))
		stream, err := d.engine().Attach(t.Context(), "c1")
		require.NoError(t, err)
		lines := bufio.NewReader(stream)
		for i := range 3 {
			frame := fmt.Sprintf("{\"op\":\"ping\",\"n\":%d}\n", i)
			_, err = io.WriteString(stream, frame)
			require.NoError(t, err)
			got, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, frame, got)
		}
		require.NoError(t, stream.Close())
		require.NoError(t, stream.Close(), "again")
		_, err = lines.ReadString('\n')
		require.ErrorIs(t, err, net.ErrClosed)
	})
	t.Run("the bridge is root's, in a directory that is constant", func(t *testing.T) {
		var asked container.ExecOptions
		d := newDaemon(t)
		d.on("POST /containers/c1/exec", func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewDecoder(r.Body).Decode(&asked)
			reply(http.StatusCreated, `{"Id":"x1"}`)(w, r)
		})
		d.on("POST /exec/x1/start", says())
		stream, err := d.engine().Attach(t.Context(), "c1")
		require.NoError(t, err)
		require.NoError(t, stream.Close())
		require.Equal(t, container.ExecOptions{
			User: "0:0", WorkingDir: "/", Cmd: []string{"/opt/cubby/supervisor", "attach"},
			AttachStdin: true, AttachStdout: true, AttachStderr: true,
		}, asked)
	})
	t.Run("it outlives the context that it was made under", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := newAttachable(t, bridge(func(conn net.Conn, in *bufio.Reader) {
			if line, err := in.ReadString('\n'); err == nil {
				_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stdout).Write([]byte(line))
			}
		}))
		stream, err := d.engine().Attach(ctx, "c1")
		require.NoError(t, err)
		cancel()
		_, err = io.WriteString(stream, "{}\n")
		require.NoError(t, err)
		got, err := io.ReadAll(stream)
		require.NoError(t, err)
		require.Equal(t, "{}\n", string(got))
		require.NoError(t, stream.Close())
	})
}

func TestAttachEnds(t *testing.T) {
	frame := "\x01\x00\x00\x00\x00\x00\x00\x0a"
	for name, c := range map[string]struct {
		run   http.HandlerFunc
		read  string
		err   error
		words string
	}{
		"in an orderly way":               {run: says("out", "{}\n"), read: "{}\n"},
		"without a word":                  {run: says()},
		"after a complaint, once started": {run: says("out", "{}\n", "err", "bye"), read: "{}\n"},
		"cut inside a frame":              {run: says("out", "{}\n", "raw", frame+"{\"ty"), read: "{}\n{\"ty", err: io.ErrUnexpectedEOF},
		"cut inside a frame's header":     {run: says("out", "{}\n", "raw", frame[:5]), read: "{}\n", err: io.ErrUnexpectedEOF},
		"cut after a frame's header":      {run: says("raw", frame), err: io.ErrUnexpectedEOF},
		"cut inside a complaint":          {run: says("raw", "\x02"+frame[1:]+"ab"), err: io.ErrUnexpectedEOF},
		"with a stream that has no frames": {
			run: says("raw", "HTTP/1.1 500\r\n"), words: "not multiplexed",
		},
		"with the engine's error as if it were output": {
			run: says("out", "OCI runtime exec failed: exec failed: no such file or directory\r\n"), words: "did not start: OCI runtime exec failed",
		},
		"with the engine's error":      {run: says("engine", "broken pipe"), words: "did not start: broken pipe"},
		"with the bridge's complaint":  {run: says("err", "connect: ", "err", "no such socket\n"), words: "did not start: connect: no such socket"},
		"with the end of a long story": {run: says("err", strings.Repeat("x", 9000)+" the cause"), words: "xx the cause"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := newAttachable(t, c.run).engine().Attach(t.Context(), "c1")
			require.NoError(t, err)
			got, err := io.ReadAll(stream)
			require.Equal(t, c.read, string(got))
			switch {
			case c.words != "":
				require.ErrorContains(t, err, c.words)
				require.Less(t, len(err.Error()), complaintBytes+100)
			case c.err != nil:
				require.ErrorIs(t, err, c.err)
			default:
				require.NoError(t, err, "io.EOF")
			}
			_, again := stream.Read(make([]byte, 1))
			if err != nil {
				require.Equal(t, err, again, "it stays so")
			}
			require.NoError(t, stream.Close())
		})
	}
}

// TestAttachCutAnywhere cuts the stream after every number of bytes: what was read is a part of what was sent, and a
// cut is never taken for an orderly end, but between two frames, where nobody could tell.
func TestAttachCutAnywhere(t *testing.T) {
	const whole = "\x01\x00\x00\x00\x00\x00\x00\x03{}\n" + "\x02\x00\x00\x00\x00\x00\x00\x02ab" + "\x01\x00\x00\x00\x00\x00\x00\x04{ }\n"
	ends := map[int]bool{11: true, 21: true, len(whole): true}
	for cut := 1; cut <= len(whole); cut++ {
		stream, err := newAttachable(t, says("raw", whole[:cut])).engine().Attach(t.Context(), "c1")
		require.NoError(t, err)
		got, err := io.ReadAll(stream)
		require.Contains(t, []string{"", "{", "{}", "{}\n", "{}\n{", "{}\n{ ", "{}\n{ }", "{}\n{ }\n"}, string(got))
		if ends[cut] {
			require.NoError(t, err, "cut after %d", cut)
		} else {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut after %d", cut)
		}
		require.NoError(t, stream.Close())
	}
}

func TestAttachRefused(t *testing.T) {
	for name, c := range map[string]struct {
		create, start, inspect http.HandlerFunc
		kind                   error
	}{
		"no such container": {create: refuse(http.StatusNotFound, "No such container"), kind: orchestrator.ErrNotFound},
		"a container that does not run": {
			create: refuse(http.StatusConflict, "Container c1 is not running"), kind: orchestrator.ErrConflict,
		},
		"a container that ended meanwhile": {
			start:   refuse(http.StatusConflict, "Container c1 is not running"),
			inspect: inspected("c1", testInstance, container.State{Status: "exited"}), kind: orchestrator.ErrConflict,
		},
		"a container that went meanwhile": {
			start: refuse(http.StatusNotFound, "No such exec"), inspect: refuse(http.StatusNotFound, "gone"), kind: orchestrator.ErrNotFound,
		},
		"an engine that is gone": {create: hangUp, kind: orchestrator.ErrEngine},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			if c.create == nil {
				c.create = reply(http.StatusCreated, `{"Id":"x1"}`)
			}
			d.on("POST /containers/c1/exec", c.create)
			if c.start != nil {
				d.on("POST /exec/x1/start", c.start)
				d.on("GET /containers/c1/json", c.inspect)
			}
			_, err := d.engine().Attach(t.Context(), "c1")
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, "attach c1")
		})
	}
	t.Run("an engine that falls silent is left when ctx ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := newAttachable(t, silence).engine().Attach(ctx, "c1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
