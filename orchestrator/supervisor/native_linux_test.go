package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestNativeBoot(t *testing.T) {
	t.Run("driver that dies is told with what it printed", func(t *testing.T) {
		m := newMachine(t, "no module named x")
		_, err := m.Boot(t.Context())
		require.ErrorIs(t, err, ErrExited)
		require.ErrorContains(t, err, "exit status 1: no module named x")
		require.Equal(t, Exit{Value: "exit status 1", Process: fmt.Sprintf("test, pid %d", m.process.pid)}, m.Exit())
	})
	t.Run("program that is not there is an error", func(t *testing.T) {
		m := newMachine(t)
		m.language.Argv = []string{"/nowhere/python"}
		_, err := m.Boot(t.Context())
		require.ErrorIs(t, err, os.ErrNotExist)
		<-m.Exited()
	})
}

func TestNativePosture(t *testing.T) {
	m := booted(t)
	status := m.run("print(open('/proc/self/status').read())").text(kernel.TypeStdout)
	fields := map[string]string{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	uid := fmt.Sprint(m.user.uid)
	for name, want := range map[string]string{
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
		"CapBnd": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Groups": "",
		"Uid": strings.Join([]string{uid, uid, uid, uid}, " "), "Gid": strings.Join([]string{uid, uid, uid, uid}, " "),
	} {
		require.Equal(t, want, fields[name], name)
	}
	require.Equal(t, "500\n", m.run("print(open('/proc/self/oom_score_adj').read(), end='')").text(kernel.TypeStdout))
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	require.NoError(t, err)
	require.NotEqual(t, "500\n", string(own), "the supervisor's own is as it was")
	require.Equal(t, "True b user\n",
		m.run("print(os.getsid(0) == os.getpid(), os.environ['A'], os.environ['USER'])").text(kernel.TypeStdout))
	require.Equal(t, "''\n", m.run("print(repr(open(0, closefd=False).read()))").text(kernel.TypeStdout), "standard input is empty")
}

func TestNativeSetup(t *testing.T) {
	m := booted(t)
	var cwd *CwdError
	require.ErrorAs(t, m.Setup(t.Context(), "/nowhere", nil), &cwd)
	require.Equal(t, "No such directory: /nowhere", cwd.Value)
	require.NoError(t, m.Setup(t.Context(), "/home/user", map[string]string{"B": "c"}))
	require.Equal(t, "c\n", m.run("print(os.environ['B'])").text(kernel.TypeStdout))
	require.NoError(t, m.Ping(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, m.Setup(ctx, "/silent", nil), "kernel did not answer the setup")
}

func TestNativeTakesNothingAfterTheEnd(t *testing.T) {
	m := booted(t)
	flooding, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	flood.Go(func() {
		for flooding.Err() == nil {
			m.dispatch(driverFrame{})
		}
	})
	defer flood.Wait()
	defer stop()
	taken := 0 // the race detector watches it
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := m.await(ctx, "flood", func() error { return nil }, func(driverFrame) bool { taken++; return false })
	require.ErrorContains(t, err, "kernel did not answer the flood")
	require.Positive(t, taken)
}

func TestNativeOutput(t *testing.T) {
	t.Run("comes before the result and the done that follow it", func(t *testing.T) {
		m := booted(t)
		for range 50 {
			sink := m.run("os.write(1, b'a'); send(type='result', data={'text/plain': '1'}); os.write(2, b'b')")
			kinds := sink.kinds()
			require.Len(t, kinds, 4)
			require.Less(t, slices.Index(kinds, kernel.TypeStdout), slices.Index(kinds, kernel.TypeResult))
			require.Contains(t, kinds, kernel.TypeStderr)
		}
	})
	t.Run("small writes come as one text", func(t *testing.T) {
		m := booted(t)
		sink := m.run("for i in range(1000): os.write(1, b'x')")
		require.Len(t, sink.text(kernel.TypeStdout), 1000)
		require.Less(t, len(sink.kinds()), 100)
	})
	t.Run("much of it is complete, on both streams", func(t *testing.T) {
		m := booted(t)
		sink := m.run(`import threading
def fill(fd):
    for i in range(200):
        left = bytes([97 + i % 26]) * 50_000
        while left: left = left[os.write(fd, left):]
threads = [threading.Thread(target=fill, args=(fd,)) for fd in (1, 2)]
[t.start() for t in threads]
[t.join() for t in threads]`)
		var want strings.Builder
		for i := range 200 {
			want.WriteString(strings.Repeat(string(rune('a'+i%26)), 50_000))
		}
		require.Equal(t, sha256.Sum256([]byte(want.String())), sha256.Sum256([]byte(sink.text(kernel.TypeStdout))))
		require.Equal(t, sha256.Sum256([]byte(want.String())), sha256.Sum256([]byte(sink.text(kernel.TypeStderr))))
	})
	t.Run("the user can open it by name", func(t *testing.T) {
		require.Equal(t, "x", booted(t).run("open('/dev/stderr', 'w').write('x')").text(kernel.TypeStderr))
	})
	t.Run("character that comes in two parts is one", func(t *testing.T) {
		sink := booted(t).run(`import time
os.write(1, b'\xe2\x82'); time.sleep(0.05); os.write(1, b'\xac\xe2')`)
		require.Equal(t, "€\ufffd", sink.text(kernel.TypeStdout), "half a character is told at the end")
	})
	t.Run("late output belongs to its own execution", func(t *testing.T) {
		m := booted(t)
		late := m.run("import subprocess; p = subprocess.Popen('read go; echo late', shell=True, stdin=subprocess.PIPE)")
		require.Empty(t, late.text(kernel.TypeStdout))
		next := m.run("p.communicate(b'\\n'); print('next', flush=True)")
		late.comes(t, kernel.TypeStdout, "late\n")
		require.Equal(t, "next\n", next.text(kernel.TypeStdout))
	})
	t.Run("of old executions is given up at last", func(t *testing.T) {
		m := booted(t)
		m.run("import subprocess; subprocess.Popen('sleep 1000', shell=True)")
		m.mu.Lock()
		first := m.outputs[0]
		m.mu.Unlock()
		for range maxOutputs {
			m.run("")
		}
		<-first.stdout.closed
		require.Len(t, m.outputs, maxOutputs)
	})
}

func TestNativeChannel(t *testing.T) {
	t.Run("frames of a forked child are ignored", func(t *testing.T) {
		m := booted(t)
		sink := m.run(`raw(b'{"type":"res')
if os.fork() == 0:
    raw(b'ult"}\n{"type":"done"}\ngarbage\n')
    os._exit(0)
os.wait()
raw(b'ult","data":{"text/plain":"1"}}\n')
print('after', flush=True)`)
		require.ElementsMatch(t, []kernel.EventType{kernel.TypeStarted, kernel.TypeResult, kernel.TypeStdout}, sink.kinds())
		require.Equal(t, "after\n", sink.text(kernel.TypeStdout))
	})
	t.Run("unknown frames are ignored", func(t *testing.T) {
		require.Equal(t, []kernel.EventType{kernel.TypeStarted}, booted(t).run("send(type='new')").kinds())
	})
	t.Run("result that is too long becomes a note", func(t *testing.T) {
		sink := booted(t).run("send(type='result', main=True, data={'image/png': 'x' * 9_000_000})")
		require.Equal(t, kernel.TypeResult, sink.events[1].Type)
		require.Equal(t, map[string]json.RawMessage{
			"text/plain": json.RawMessage(`"[image/png of 9000059 bytes left out: more than the 8 MiB that fit a frame]"`),
		}, sink.events[1].Data)
	})
	t.Run("much code arrives whole", func(t *testing.T) {
		code := "x = '" + strings.Repeat("x", 4<<20) + "'\nprint(len(x))"
		require.Equal(t, "4194304\n", booted(t).run(code).text(kernel.TypeStdout))
	})
	for _, tt := range []struct{ name, code, exit string }{
		{"garbage", `raw(b'garbage\n'); import time; time.sleep(60)`, `kernel sent no frame but "garbage"`},
		{"end of the channel", `os.close(3); import time; time.sleep(60)`, "kernel closed its channel"},
		{"exit", "os._exit(3)", "exit status 3"},
		{"driver that says why", "send(type='dying', value='out of ideas'); os._exit(70)", "exit status 70: out of ideas"},
		{"crash", "os.kill(os.getpid(), 11)", "signal: segmentation fault"},
		{"SIGKILL by the user", "os.kill(0, 9)", "signal: killed"},
	} {
		t.Run(tt.name+" ends the kernel", func(t *testing.T) {
			m := booted(t)
			var sink recorder
			err := m.Execute(t.Context(), Run{Code: "os.write(1, b'before'); " + tt.code}, &sink)
			require.ErrorIs(t, err, ErrExited)
			require.Contains(t, m.Exit().Value, tt.exit)
			require.Equal(t, tt.exit == "signal: killed", m.Exit().Killed)
			require.Equal(t, "before", sink.text(kernel.TypeStdout))
		})
	}
}

func TestNativeInterrupt(t *testing.T) {
	m := booted(t)
	var sink recorder
	ended := make(chan error, 1)
	go func() {
		code := "import subprocess; print('x', flush=True); subprocess.run(['sleep', '60'])"
		ended <- m.Execute(t.Context(), Run{Code: code}, &sink)
	}()
	sink.comes(t, kernel.TypeStdout, "x\n")
	require.NoError(t, m.Interrupt())
	require.NoError(t, <-ended)
	require.Equal(t, "KeyboardInterrupt", sink.events[2].Name)
	require.NoError(t, m.Interrupt(), "one that comes late hits nothing")
	require.NoError(t, m.Ping(t.Context()))
	require.Equal(t, "y\n", m.run("print('y')").text(kernel.TypeStdout))
}

func TestNativeKill(t *testing.T) {
	m := booted(t)
	m.run(`import signal, subprocess, time
for i in range(5):
    subprocess.Popen(['sleep', '1000'], start_new_session=True)
stopped = subprocess.Popen(['sleep', '1000'])
os.kill(stopped.pid, signal.SIGSTOP)
subprocess.Popen(['sh', '-c', 'trap "" TERM INT HUP; sleep 1000'])
time.sleep(0.1)`)
	count, err := processesOf(m.user.uid)
	require.NoError(t, err)
	require.GreaterOrEqual(t, count, 8)
	require.NoError(t, m.Kill(t.Context()))
	count, err = processesOf(m.user.uid)
	require.NoError(t, err)
	require.Zero(t, count)
	<-m.Exited()
	require.False(t, m.Exit().Killed, "it was us")
	require.NoError(t, m.Kill(t.Context()), "nothing is left, which is no error")
	require.NoError(t, m.Interrupt(), "a dead kernel is no error")
}

func TestNativeInterruptByFrame(t *testing.T) {
	m := newMachine(t)
	m.language.Interrupt = interruptFrame
	_, err := m.Boot(t.Context())
	require.NoError(t, err)
	var sink recorder
	ended := make(chan error, 1)
	go func() {
		ended <- m.Execute(t.Context(), Run{ID: "1", Code: `import socket, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('x', flush=True)
print(socket.socket(fileno=os.dup(3)).recv(100))`}, &sink)
	}()
	sink.comes(t, kernel.TypeStdout, "x\n")
	require.NoError(t, m.Interrupt())
	require.NoError(t, <-ended)
	require.Contains(t, sink.text(kernel.TypeStdout), `{"op":"interrupt"}`)
}

func TestNativeFatal(t *testing.T) {
	m := newMachine(t)
	m.language.Fatal = "FATAL: "
	_, err := m.Boot(t.Context())
	require.NoError(t, err)
	m.run("os.write(2, b'FATAL: an earlier one\\n')")
	var sink recorder
	code := "os.write(2, b'x' * 10_000 + b'\\n--\\nFATAL: no room\\n1: 0xabc\\n'); os.abort()"
	require.ErrorIs(t, m.Execute(t.Context(), Run{ID: "2", Code: code}, &sink), ErrExited)
	require.Equal(t, "signal: aborted: no room", m.Exit().Value)
	require.Contains(t, sink.text(kernel.TypeStderr), "1: 0xabc")
}
