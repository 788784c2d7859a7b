package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
	"cubby/orchestrator"
)

// server is a cubby serve in this process.
type server struct {
	url    string
	log    *buffer
	output *buffer
	stop   func() int // as by a signal; returns the exit code
}

// listening finds the address in the log.
var listening = regexp.MustCompile(`msg=listening url=(\S+)`)

// serve starts a server on a port of its own and waits until it listens.
func (c *cli) serve(args ...string) *server {
	c.t.Helper()
	p, out, log := c.process()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, p, append([]string{"serve", "--listen=127.0.0.1:0"}, args...)) }()
	s := &server{log: log, output: out, stop: func() int { cancel(); return <-ended }}
	require.Eventually(c.t, func() bool {
		found := listening.FindStringSubmatch(log.String())
		if found != nil {
			s.url = found[1]
		}
		return found != nil || len(ended) > 0
	}, 30*time.Second, 5*time.Millisecond)
	require.NotEmpty(c.t, s.url, log.String())
	return s
}

func TestServe(t *testing.T) {
	t.Run("contexts and their variables outlive the server", func(t *testing.T) {
		c := newCLI(t)
		first := c.serve()
		c.variables["CUBBY_URL"] = first.url
		id := c.ok("ctx", "create")[:26]
		require.Empty(t, c.ok("ctx", "exec", id, "-c", "set x 41"))
		require.Equal(t, exitOK, first.stop(), first.log.String())

		second := c.serve()
		c.variables["CUBBY_URL"] = second.url
		require.Equal(t, id+"\n", c.ok("ctx", "ls", "-q"))
		require.Equal(t, "41\n", c.ok("ctx", "exec", id, "-c", "get x"))
		require.Equal(t, exitOK, second.stop(), second.log.String())
	})
	t.Run("default contexts are there from the start", func(t *testing.T) {
		c := newCLI(t)
		s := c.serve("--default-contexts=python")
		c.variables["CUBBY_URL"] = s.url
		id := strings.TrimSpace(c.ok("ctx", "ls", "-q"))
		require.Len(t, id, 26)
		require.Empty(t, c.ok("ctx", "exec", id, "-c", "set x 41"))
		require.Equal(t, exitOK, s.stop(), s.log.String())
	})
	t.Run("executions are followed over the server's end and the next one's start", func(t *testing.T) {
		c := newCLI(t)
		first := c.serve()
		c.variables["CUBBY_URL"] = first.url
		id := strings.TrimSpace(c.ok("ctx", "create"))
		execution := strings.TrimSpace(c.ok("ctx", "exec", "-d", id, "-c", "print a\ngate f\nprint b"))
		p, stdout, stderr := c.process()
		ended := make(chan int, 1)
		go func() { ended <- run(t.Context(), p, []string{"ctx", "follow", id, execution}) }()
		require.Eventually(t, func() bool { return stdout.String() == "a\n" }, time.Minute, time.Millisecond)
		require.Equal(t, exitOK, first.stop(), "a follower does not hold it up")

		second := c.serve("--listen=" + strings.TrimPrefix(first.url, "http://"))
		c.engine.Open("f")
		require.Equal(t, exitOK, <-ended, stderr.String())
		require.Equal(t, "a\nb\n", stdout.String())
		require.Equal(t, exitOK, second.stop(), second.log.String())
	})
	t.Run("what its clients wait for ends, new code is for the next server, which waits for the state directory", func(t *testing.T) {
		c := newCLI(t)
		c.statePatience, c.shutdownGrace = time.Minute, time.Minute
		first := c.serve()
		c.variables["CUBBY_URL"] = first.url
		id := strings.TrimSpace(c.ok("ctx", "create"))
		ended := make(chan string, 1)
		go func() {
			_, stdout, _ := c.run("ctx", "exec", id, "-c", "gate s\nprint a")
			ended <- stdout
		}()
		<-c.engine.Waiting("s")
		stopped := make(chan int, 1)
		go func() { stopped <- first.stop() }()
		require.Eventually(t, func() bool {
			code, _, stderr := c.run("ctx", "create")
			return code == exitFault && strings.Contains(stderr, "this server is stopping; try again")
		}, time.Minute, time.Millisecond)

		p, _, log := c.process()
		ctx, signal := context.WithCancel(t.Context())
		second := make(chan int, 1)
		go func() { second <- run(ctx, p, []string{"serve", "--listen", strings.TrimPrefix(first.url, "http://")}) }()
		logs := func(text string) func() bool { return func() bool { return strings.Contains(log.String(), text) } }
		require.Eventually(t, logs("waiting for the state directory"), time.Minute, time.Millisecond)
		c.engine.Open("s")
		require.Equal(t, "a\n", <-ended)
		require.Equal(t, exitOK, <-stopped, first.log.String())
		require.Contains(t, first.log.String(), "waiting for requests")
		require.NotContains(t, first.log.String(), "cut off")
		require.Equal(t, 1, strings.Count(first.log.String(), "msg=\"stopping;"))
		require.Equal(t, 1, strings.Count(first.log.String(), "msg=stopped\n"))
		require.Eventually(t, logs("msg=listening"), time.Minute, time.Millisecond)
		require.Equal(t, "b\n", c.ok("ctx", "exec", id, "-c", "print b"))
		signal()
		require.Equal(t, exitOK, <-second, log.String())
	})
	t.Run("they go with --remove-on-exit", func(t *testing.T) {
		c := newCLI(t)
		s := c.serve("--remove-on-exit")
		c.variables["CUBBY_URL"] = s.url
		c.ok("ctx", "create")
		c.ok("ctx", "create")
		require.Equal(t, exitOK, s.stop(), s.log.String())
		left, err := c.engine.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, left)
	})
	t.Run("with a key it takes that key only", func(t *testing.T) {
		c := newCLI(t)
		c.variables["CUBBY_API_KEY"] = "0123456789abcdef"
		s := c.serve()
		c.variables["CUBBY_URL"] = s.url
		c.ok("ctx", "ls")
		c.variables["CUBBY_API_KEY"] = "0123456789abcdeX"
		code, _, stderr := c.run("ctx", "ls")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "CUBBY_API_KEY")
		require.Equal(t, exitOK, s.stop())
		require.NotContains(t, s.log.String(), "0123456789abcdef")
	})
	t.Run("the effective configuration is logged", func(t *testing.T) {
		c := newCLI(t)
		c.variables["CUBBY_MAX_CONTEXTS"] = "7"
		s := c.serve("--idle-timeout=30m")
		require.Equal(t, exitOK, s.stop())
		require.Contains(t, s.log.String(), "max-contexts=7")
		require.Contains(t, s.log.String(), "idle-timeout=30m0s")
	})
	t.Run("a first cell that fails ends it", func(t *testing.T) {
		c := newCLI(t)
		code, _, stderr := c.run("serve", "--listen=127.0.0.1:0", "--hello") // the fake's kernel knows no Python
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "the first cell failed: SyntaxError")
		left, err := c.engine.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, left, "its context is gone")
	})
}

func TestServeRefuses(t *testing.T) {
	t.Run("a state directory in use", func(t *testing.T) {
		c := newCLI(t)
		s := c.serve()
		c.statePatience = time.Millisecond
		code, _, stderr := c.run("serve", "--listen=127.0.0.1:0")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "--state-dir")
		if runtime.GOOS == "linux" {
			require.Contains(t, stderr, fmt.Sprintf("(process %d)", os.Getpid()))
		}
		c.variables["CUBBY_URL"] = s.url
		c.ok("ctx", "ls")
		require.Equal(t, exitOK, s.stop())
	})
	t.Run("a taken port", func(t *testing.T) {
		taken, err := listen(t.Context(), "127.0.0.1:0", false)
		require.NoError(t, err)
		defer taken.Close()
		code, _, stderr := newCLI(t).run("serve", "--listen", taken.Addr().String())
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "the port is taken")
	})
	t.Run("no engine", func(t *testing.T) {
		c := newCLI(t)
		c.connected = orchestrator.ErrEngine
		code, _, stderr := c.run("serve", "--listen=127.0.0.1:0")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "engine unavailable")
	})
	t.Run("a missing image, with the command that builds it", func(t *testing.T) {
		c := newCLI(t)
		c.engine.missing["cubby-python:current"] = true
		code, _, stderr := c.run("serve", "--listen=127.0.0.1:0")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "cubby images build python")
	})
	t.Run("an unknown language", func(t *testing.T) {
		code, _, stderr := newCLI(t).run("serve", "--listen=127.0.0.1:0", "--languages=python,cobol")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, `"cobol"`)
	})
	t.Run("default contexts of an unknown language", func(t *testing.T) {
		code, _, stderr := newCLI(t).run("serve", "--listen=127.0.0.1:0", "--default-contexts=cobol")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "default-contexts")
	})
	t.Run("default contexts of a language that was not chosen", func(t *testing.T) {
		code, _, stderr := newCLI(t).run("serve", "--listen=127.0.0.1:0", "--languages=python", "--default-contexts=bash")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "default-contexts: bash: not among the server's languages")
	})
}

// pipeListener accepts connections within this process.
type pipeListener struct {
	conns  chan net.Conn
	closed context.CancelFunc
	open   context.Context //nolint:containedctx // the listener's life
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.open.Done():
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.closed(); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

// slowContexts take their time for a creation, unless its client leaves. Nothing else is asked of them.
type slowContexts struct {
	api.Contexts
	delay time.Duration
}

func (c slowContexts) Create(ctx context.Context, _ orchestrator.CreateRequest) (orchestrator.CodeContext, error) {
	select {
	case <-time.After(c.delay):
		return orchestrator.CodeContext{ID: "abc"}, nil
	case <-ctx.Done():
		return orchestrator.CodeContext{}, ctx.Err()
	}
}

func TestShutdownGrace(t *testing.T) {
	const slow = 5 * shutdownGrace
	for name, tt := range map[string]struct {
		config Config
		least  time.Duration
		most   time.Duration
	}{
		"ends before a slow request":                    {Config{}, shutdownGrace, shutdownGrace},
		"lasts for a slow creation that has to go, too": {Config{RemoveOnExit: true}, slow, removalGrace},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := &pipeListener{conns: make(chan net.Conn)}
				listener.open, listener.closed = context.WithCancel(t.Context())
				served := api.New(api.Config{Contexts: slowContexts{delay: slow}, Logger: slog.New(slog.DiscardHandler)})
				server := served.HTTPServer()
				go func() { _ = server.Serve(listener) }()
				ours, theirs := net.Pipe()
				listener.conns <- theirs
				_, err := io.WriteString(ours, "POST /contexts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
				require.NoError(t, err)
				go func() { _, _ = io.Copy(io.Discard, ours) }()
				synctest.Wait()
				began := time.Now()
				require.NoError(t, (&app{config: tt.config, process: process{shutdownGrace: shutdownGrace}}).shutdown(t.Context(), served, server, &orchestrator.Manager{}))
				require.GreaterOrEqual(t, time.Since(began), tt.least)
				require.LessOrEqual(t, time.Since(began), tt.most)
				require.NoError(t, server.Close())
				require.NoError(t, ours.Close())
				served.Close()
			})
		})
	}
}
