package main

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

func TestCtx(t *testing.T) {
	c := newCLI(t)
	s := c.serve()
	c.variables["CUBBY_URL"] = s.url
	create := func(c *cli, args ...string) string {
		c.t.Helper()
		return strings.TrimSpace(c.ok(append([]string{"ctx", "create"}, args...)...))
	}

	t.Run("create, use, restart, remove", func(t *testing.T) {
		c := c.in(t)
		id := create(c, "-l", "py", "--cwd", "/tmp", "-e", "A=b")
		require.Equal(t, "/tmp\nb\nc\n", c.ok("ctx", "exec", id, "-c", "cwd\nenv A\nprint c"))
		c.ok("ctx", "exec", id, "-c", "set x 41")
		require.Equal(t, "41\n", c.ok("ctx", "exec", id, "-c", "get x"))
		require.Equal(t, id+"\n", c.ok("ctx", "restart", id))
		code, _, stderr := c.run("ctx", "exec", id, "-c", "get x")
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "NameError")
		require.Contains(t, c.ok("ctx", "inspect", id), "GENERATION   2\n")
		require.Equal(t, id+"\n", c.ok("ctx", "rm", id))
		code, _, stderr = c.run("ctx", "inspect", id)
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "not found")
	})
	t.Run("list", func(t *testing.T) {
		c := c.in(t)
		first, second := create(c), create(c, "--cwd", "/tmp")
		got := c.ok("ctx", "ls")
		require.Equal(t, "ID"+strings.Repeat(" ", 27)+"LANGUAGE   STATE   CWD\n"+
			first+"   python     ready   /home/user\n"+second+"   python     ready   /tmp\n", got)
		var listed []wire.ListedContext
		require.NoError(t, json.Unmarshal([]byte(c.ok("ctx", "ls", "--json")), &listed))
		require.Len(t, listed, 2)
		require.Equal(t, first+"\n"+second+"\n", c.ok("ctx", "rm", "--all"))
		require.Empty(t, c.ok("ctx", "ls", "-q"))
	})
	t.Run("one failure of several is told and the others are done", func(t *testing.T) {
		c := c.in(t)
		id := create(c)
		code, stdout, stderr := c.run("ctx", "rm", "nobody", id)
		require.Equal(t, exitFault, code)
		require.Equal(t, id+"\n", stdout)
		require.Contains(t, stderr, "nobody")
	})
	t.Run("an interrupt ends the code as its failure", func(t *testing.T) {
		c := c.in(t)
		id := create(c)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			<-c.engine.Waiting("i")
			c.run("ctx", "interrupt", id)
		}()
		code, _, stderr := c.run("ctx", "exec", id, "-c", "gate i")
		<-ended
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "KeyboardInterrupt")
	})
	t.Run("Ctrl-C interrupts the code, and waits to tell how it ended", func(t *testing.T) {
		c := c.in(t)
		id := create(c)
		ctx, signal := context.WithCancel(t.Context())
		p, stdout, stderr := c.process()
		ended := make(chan int)
		go func() { ended <- run(ctx, p, []string{"ctx", "exec", id, "-c", "print before\ngate c"}) }()
		require.Eventually(t, func() bool { return stdout.String() == "before\n" }, time.Minute, time.Millisecond)
		<-c.engine.Waiting("c")
		signal()
		require.Equal(t, exitFailed, <-ended)
		require.Equal(t, "KeyboardInterrupt\ncubby: execution was interrupted\n", stderr.String())
		require.Equal(t, "x\n", c.ok("ctx", "exec", id, "-c", "print x"), "nothing of it is left")
	})
	t.Run("detached code goes on, and can be followed", func(t *testing.T) {
		c := c.in(t)
		id := create(c)
		execution := strings.TrimSpace(c.ok("ctx", "exec", "--detach", id, "-c", "print a\ngate d\nprint b"))
		require.Len(t, execution, 26)
		<-c.engine.Waiting("d")
		ctx, signal := context.WithCancel(t.Context())
		p, stdout, stderr := c.process()
		p.program = "cubby"
		left := make(chan int)
		go func() { left <- run(ctx, p, []string{"ctx", "follow", id, execution}) }()
		require.Eventually(t, func() bool { return stdout.String() == "a\n" }, time.Minute, time.Millisecond)
		signal()
		require.Equal(t, exitFault, <-left)
		require.Contains(t, stderr.String(), "the execution goes on")
		rest := regexp.MustCompile(`cubby (ctx follow \S+ \S+ --after \d+)\n`).FindStringSubmatch(stderr.String())
		require.NotNil(t, rest, stderr.String())
		c.engine.Open("d")
		require.Equal(t, "b\n", c.ok(strings.Fields(rest[1])...))
		require.Equal(t, "a\nb\n", c.ok("ctx", "follow", id, execution), "after its end as well")
	})
	t.Run("following ends as the code did", func(t *testing.T) {
		c := c.in(t)
		id := create(c)
		execution := strings.TrimSpace(c.ok("ctx", "exec", "-d", id, "-c", "get nothing"))
		code, _, stderr := c.run("ctx", "follow", id, execution)
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "NameError")
		code, _, stderr = c.run("ctx", "follow", id, "nobody")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "execution nobody of context "+id+" not found")
	})
	t.Run("a removed context is not the code's failure", func(t *testing.T) {
		c := c.in(t)
		id := create(c)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			<-c.engine.Waiting("r")
			c.run("ctx", "rm", id)
		}()
		code, _, stderr := c.run("ctx", "exec", id, "-c", "gate r")
		<-ended
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "removed")
	})
	t.Run("what the server says cannot steer a terminal", func(t *testing.T) {
		c := c.in(t)
		c.terminal = true
		id := create(c, "--cwd", "/tmp/\x1b[2J")
		require.Contains(t, c.ok("ctx", "ls"), "/tmp/^[[2J")
		require.Equal(t, "^[]0;x^G\n", c.ok("ctx", "exec", id, "-c", "print \x1b]0;x\a"))
		require.Equal(t, "\x1b]0;x\a\n", c.ok("ctx", "exec", "--raw", id, "-c", "print \x1b]0;x\a"))
	})
	require.Equal(t, exitOK, s.stop(), s.log.String())
}

func TestNoCellMakesARow(t *testing.T) {
	var text strings.Builder
	require.NoError(t, printTable(&text, [][]string{{"abc", "/a\nforged\tpython\r\v\f/"}}))
	require.Equal(t, `abc   /a\nforged\tpython\r\v\f/`+"\n", text.String())
}

func TestDescribe(t *testing.T) {
	var text strings.Builder
	require.NoError(t, printTable(&text, describe(wire.ContextDetail{
		Context: wire.Context{ID: "abc", Language: "python", Cwd: "/home/user"}, Generation: 3, State: "lost",
		Reason: "its container was removed", Image: wire.Image{ID: "sha256:1", Tag: "cubby-python:1"}, Sandbox: "default",
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), LastUsedAt: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		Limits: wire.Limits{MemoryBytes: 1 << 30, CPUs: 0.5, PIDs: 256, FileBytes: 8 << 30}, Network: "none",
	})))
	golden(t, "inspect.txt", text.String())
}
