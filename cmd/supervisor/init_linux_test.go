package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// uid is the user's, which nobody else has.
const uid = 1<<30 + 4711

// scene makes a mount namespace look like a container before PID 1 starts in it, with a workspace that is closed.
const scene = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /home
mkdir -m 0 /home/user
exec "$@"`

// container starts the program as PID 1 of namespaces of its own and returns its pid.
func container(t *testing.T, arguments ...string) (program string, init *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 || !canUnshare() {
		t.Skip("needs root, namespaces and /usr/bin/python3")
	}
	dir, err := os.MkdirTemp("", "supervisor") //nolint:usetesting // the user cannot enter a t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	program = filepath.Join(dir, "supervisor")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	driver, err := os.ReadFile("../../orchestrator/supervisor/testdata/driver.py")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "driver.py"), driver, 0o644))
	language, err := json.Marshal(map[string]any{
		"name": "test", "adapter": "native",
		"argv": []string{"/usr/bin/python3", "-I", filepath.Join(dir, "driver.py")},
	})
	require.NoError(t, err)
	path := filepath.Join(dir, "language.json")
	require.NoError(t, os.WriteFile(path, language, 0o644))

	script := append([]string{"-c", scene, "sh", program, "init", "--uid", strconv.Itoa(uid), "--language", path}, arguments...)
	init = exec.Command("/bin/sh", script...) //nolint:noctx // it is ended by the tests
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Setsid: true}
	init.Stderr = os.Stderr
	require.NoError(t, init.Start())
	t.Cleanup(func() { _ = init.Process.Kill(); _ = init.Wait() })
	return program, init
}

// canUnshare reports whether this process may make namespaces.
func canUnshare() bool {
	probe := exec.Command("/usr/bin/python3", "-c", "") //nolint:noctx // it ends at once
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	return probe.Run() == nil
}

// stdio is a process' standard input and output as one stream.
type stdio struct {
	read, write *os.File
}

func (s stdio) Read(p []byte) (int, error)  { return s.read.Read(p) }
func (s stdio) Write(p []byte) (int, error) { return s.write.Write(p) }
func (s stdio) Close() error                { _ = s.write.Close(); return s.read.Close() }

// attach runs a bridge in a container, as docker exec does, and returns the connection and its events.
func attach(t *testing.T, program string, init *exec.Cmd) (*kernel.Conn, chan kernel.Event) {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	require.NoError(t, err)
	outRead, outWrite, err := os.Pipe()
	require.NoError(t, err)
	bridge := exec.CommandContext(t.Context(), "nsenter", "-t", strconv.Itoa(init.Process.Pid), "-m", "-p", program, "attach")
	bridge.Stdin, bridge.Stdout, bridge.Stderr = inRead, outWrite, os.Stderr
	// Until init has set the scene, its mount namespace has no socket, and the bridge waits for one.
	require.NoError(t, bridge.Start())
	_ = inRead.Close()
	_ = outWrite.Close()
	events := make(chan kernel.Event, 1024)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := kernel.Open(ctx, stdio{read: outRead, write: inWrite}, func(ev kernel.Event) { events <- ev })
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); _ = bridge.Wait() })
	return conn, events
}

// execute runs code and returns what it printed and its done.
func execute(t *testing.T, conn *kernel.Conn, events chan kernel.Event, id, code string) (text string, done kernel.Event) {
	t.Helper()
	require.NoError(t, conn.Send(kernel.Request{Op: kernel.OpExecute, ID: id, Code: code}))
	for {
		select {
		case ev := <-events:
			text += ev.Text
			if ev.Type == kernel.TypeDone {
				return text, ev
			}
		case <-time.After(30 * time.Second):
			require.Fail(t, "no done came")
		}
	}
}

func TestInit(t *testing.T) {
	program, init := container(t)
	conn, events := attach(t, program, init)
	require.Equal(t, "test", conn.Hello().Language)
	require.NoError(t, conn.Claim(t.Context(), kernel.Request{Token: "a", Cwd: "/home/user"}))

	text, done := execute(t, conn, events, "1", "open('/home/user/x', 'w').close(); print(os.getppid(), os.stat('/home/user').st_uid)")
	require.Equal(t, fmt.Sprintf("1 %d\n", uid), text, done.Value)

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", init.Process.Pid))
	require.NoError(t, err)
	for _, want := range []string{"CapPrm:\t00000000000001e0", "CapEff:\t00000000000001e0", "CapBnd:\t00000000000001e0"} {
		require.Contains(t, string(status), want, "SETUID, SETGID, SETPCAP and KILL are left")
	}

	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", init.Process.Pid))
	require.NoError(t, err)
	var deaf []string
	for _, thread := range threads {
		if status, err := os.ReadFile(thread); err == nil && strings.Contains(string(status), "SigBlk:\tfffffffffffbfeff") {
			deaf = append(deaf, filepath.Base(filepath.Dir(thread)))
		}
	}
	require.Len(t, deaf, 2, "the threads that act as the user")
	require.NotContains(t, deaf, strconv.Itoa(init.Process.Pid))

	text, _ = execute(t, conn, events, "2", `
for path in ('/proc/1/mem', '/proc/1/fd/0', '/run/cubby/supervisor.sock'):
    try: open(path)
    except OSError as e: print(type(e).__name__)
try: os.kill(1, 9)
except OSError as e: print(type(e).__name__)`)
	require.Equal(t, strings.Repeat("PermissionError\n", 4), text, "PID 1 is out of reach")

	text, _ = execute(t, conn, events, "3", `
import time
for i in range(100):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.wait()
def zombie(pid):
    try: return 'Z (zombie)' in open(f'/proc/{pid}/status').read()
    except OSError: return False
def zombies(): return sum(zombie(p) for p in os.listdir('/proc') if p.isdigit())
for i in range(100):
    if zombies() == 0: break
    time.sleep(0.05)
print(zombies())`)
	require.Equal(t, "0\n", text, "orphans are reaped")

	again, moreEvents := attach(t, program, init)
	<-conn.Done()
	require.Equal(t, conn.Hello().Boot, again.Hello().Boot)
	require.Len(t, again.Hello().Executions, 3)
	text, _ = execute(t, again, moreEvents, "4", "print('still here')")
	require.Equal(t, "still here\n", text)

	executions, err := again.Stop(t.Context())
	require.NoError(t, err)
	require.Len(t, executions, 4)
	for _, signal := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM} {
		require.NoError(t, init.Process.Signal(signal))
	}
	third, _ := attach(t, program, init)
	require.Equal(t, "stopped", third.Hello().Exited)
}

func TestLease(t *testing.T) {
	program, init := container(t, "--lease", "200ms")
	conn, _ := attach(t, program, init)
	time.Sleep(400 * time.Millisecond)
	require.NoError(t, init.Process.Signal(unix.Signal(0)))
	require.NoError(t, conn.Close())
	require.NoError(t, init.Wait(), "it ends by itself")
}

func TestUsage(t *testing.T) {
	require.ErrorIs(t, run(nil), errUsage)
	require.ErrorIs(t, run([]string{"dance"}), errUsage)
	require.ErrorContains(t, run([]string{"init"}), "uid is 0")
}

func TestALanguageThatCannotBeReadIsToldOf(t *testing.T) {
	program, init := container(t, "--language", "/nonexistent/language.json")
	conn, _ := attach(t, program, init)
	require.Contains(t, conn.Hello().Exited, "read the image's language: open /nonexistent/language.json")
	require.NoError(t, init.Process.Signal(unix.Signal(0)), "it goes on, so that somebody can be told")
}
