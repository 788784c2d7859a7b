package supervisor

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// jupyterMachine is a Jupyter adapter with a kernel and a uid of its own.
type jupyterMachine struct {
	*jupyter
	t *testing.T
}

// newJupyterMachine returns one that has not booted. The test needs root, to act as another user.
func newJupyterMachine(t *testing.T, language Language) *jupyterMachine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	reaper, end := testReaper(t)
	m := &jupyterMachine{jupyter: newJupyter(language, newUserThread(1<<30+rand.IntN(1<<28)), reaper), t: t}
	t.Cleanup(func() { end(m, &m.reading, m.user) })
	return m
}

// scriptedLanguage is that of the scripted kernel, whose program is this one.
func scriptedLanguage(t *testing.T) Language {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	content, err := os.ReadFile(own)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "supervisor") //nolint:usetesting // the user cannot enter a t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	program := filepath.Join(dir, "kernel")
	require.NoError(t, os.WriteFile(program, content, 0o755))
	return Language{
		Name: "scripted", Adapter: adapterJupyter, Argv: []string{program, scriptedKernel, connectionFile},
		Env:  map[string]string{"A": "b"},
		Code: LanguageCode{Setup: "setup {values}", Enter: "enter {values}", Leave: "leave {values}"},
	}
}

// bootedKernel returns a machine with a scripted kernel that takes requests.
func bootedKernel(t *testing.T) *jupyterMachine {
	t.Helper()
	m := newJupyterMachine(t, scriptedLanguage(t))
	version, err := m.Boot(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1.2", version)
	return m
}

// run runs code and returns what it told.
func (m *jupyterMachine) run(code string) *recorder {
	m.t.Helper()
	var sink recorder
	require.NoError(m.t, m.Execute(m.t.Context(), Run{Code: code}, &sink))
	return &sink
}

// start runs code that prints, and returns when it has.
func (m *jupyterMachine) start(code string) (sink *recorder, ended chan error) {
	m.t.Helper()
	sink, ended = &recorder{}, make(chan error, 1)
	go func() { ended <- m.Execute(m.t.Context(), Run{Code: code}, sink) }()
	require.Eventually(m.t, func() bool { return sink.text(kernel.TypeStdout) != "" }, 10*time.Second, time.Millisecond)
	return sink, ended
}

func TestJupyterBoot(t *testing.T) {
	t.Run("kernel that dies is told with what it printed", func(t *testing.T) {
		language := scriptedLanguage(t)
		language.Argv = []string{"/bin/sh", "-c", "echo no module named x; exit 3", connectionFile}
		m := newJupyterMachine(t, language)
		_, err := m.Boot(t.Context())
		require.ErrorIs(t, err, ErrExited)
		require.ErrorContains(t, err, "no module named x")
		require.Equal(t, Exit{Value: "exit status 3", Process: fmt.Sprintf("scripted, pid %d", m.process.pid)}, m.Exit())
	})
	t.Run("program that is not there is an error", func(t *testing.T) {
		m := newJupyterMachine(t, Language{Argv: []string{"nowhere", connectionFile}})
		_, err := m.Boot(t.Context())
		require.ErrorIs(t, err, os.ErrNotExist)
		<-m.Exited()
	})
	t.Run("kernel that opens no socket is given up", func(t *testing.T) {
		m := newJupyterMachine(t, Language{Argv: []string{"/bin/sleep", "1000" + connectionFile}})
		m.language.Argv = []string{"/bin/sh", "-c", "exec sleep 1000", connectionFile}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := m.Boot(ctx)
		require.ErrorContains(t, err, "connect to the kernel's shell")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("nothing is left for others to connect to", func(t *testing.T) {
		m := bootedKernel(t)
		left, err := filepath.Glob("/tmp/.jupyter-*")
		require.NoError(t, err)
		for _, dir := range left {
			info, err := os.Stat(dir)
			require.True(t, err != nil || m.user.uid != uidOf(info), dir)
		}
	})
}

func TestJupyterSetup(t *testing.T) {
	m := bootedKernel(t)
	var cwd *CwdError
	require.ErrorAs(t, m.Setup(t.Context(), "/nowhere", nil), &cwd)
	require.Equal(t, "chdir /nowhere: no such file or directory", cwd.Value)
	require.NoError(t, m.Setup(t.Context(), "/tmp", map[string]string{"B": "'\"\n{values}"}))
	require.Equal(t, "'\"\n{values}true\n", m.run("env B").text(kernel.TypeStdout))
	require.NoError(t, m.Ping(t.Context()))
}

func TestJupyterExecute(t *testing.T) {
	m := bootedKernel(t)
	t.Run("tells of all in its order", func(t *testing.T) {
		sink := m.run("print a\nshow 1\nsleep\nraw b\nsleep\nvalue 2\nprint c\nfail it")
		require.Equal(t, []kernel.EventType{
			kernel.TypeStarted, kernel.TypeStdout, kernel.TypeResult, kernel.TypeStdout, kernel.TypeResult, kernel.TypeStdout,
			kernel.TypeError,
		}, sink.kinds())
		require.Equal(t, "abc", sink.text(kernel.TypeStdout))
		require.Equal(t, 1, sink.events[0].Count)
		require.False(t, sink.events[2].Main)
		require.True(t, sink.events[4].Main)
		require.Equal(t, kernel.Event{Type: kernel.TypeError, Name: "Oops", Value: "it", Traceback: "a\nb"}, sink.events[6])
	})
	t.Run("variables of one execution are gone after it", func(t *testing.T) {
		for _, want := range []string{"xtrueytrue", "btruefalse"} {
			run := Run{Code: "env A\nenv NEW"}
			if want == "xtrueytrue" {
				run.Env = map[string]string{"A": "x", "NEW": "y"}
			}
			var sink recorder
			require.NoError(t, m.Execute(t.Context(), run, &sink))
			require.Equal(t, want, strings.ReplaceAll(sink.text(kernel.TypeStdout), "\n", ""))
		}
	})
	t.Run("questions are answered at once", func(t *testing.T) {
		require.Equal(t, `answer: {"status":"ok","value":""} <nil>`, "answer: "+m.run("ask name?").text(kernel.TypeStdout))
	})
	t.Run("code with a NUL is refused", func(t *testing.T) {
		sink := m.run("print a\x00\nprint b")
		require.Equal(t, []kernel.EventType{kernel.TypeStarted, kernel.TypeError}, sink.kinds())
	})
	t.Run("end that iopub loses is found by the reply", func(t *testing.T) {
		require.Equal(t, []kernel.EventType{kernel.TypeStarted}, m.run("quiet").kinds())
	})
	t.Run("execution that the kernel has aborted has failed", func(t *testing.T) {
		sink := m.run("aborted")
		require.Equal(t, "ExecutionAborted", sink.events[1].Name)
	})
	t.Run("late output belongs to its own execution", func(t *testing.T) {
		late := m.run("late late")
		require.Equal(t, "next", m.run("sleep\nprint next").text(kernel.TypeStdout))
		late.comes(t, kernel.TypeStdout, "late")
	})
	t.Run("what is no proper message is passed over", func(t *testing.T) {
		require.Equal(t, []kernel.EventType{kernel.TypeStarted, kernel.TypeStdout}, m.run("noise\nprint x").kinds())
	})
	t.Run("long text is whole", func(t *testing.T) {
		text := m.run("much 1048576").text(kernel.TypeStderr)
		require.Equal(t, sha256.Sum256([]byte(strings.Repeat("x", 1<<20))), sha256.Sum256([]byte(text)))
	})
	t.Run("old executions are forgotten at last", func(t *testing.T) {
		for range maxOutputs {
			m.run("")
		}
		require.Len(t, m.requests, maxOutputs)
	})
	t.Run("environment that the kernel refuses is an error", func(t *testing.T) {
		err := m.Execute(t.Context(), Run{Env: map[string]string{"REFUSED": ""}}, &recorder{})
		require.EqualError(t, err, "kernel did not set the execution's environment: Oops: no such variable")
	})
}

func TestJupyterOutputByMessages(t *testing.T) {
	language := scriptedLanguage(t)
	language.Output = outputMessages
	m := newJupyterMachine(t, language)
	_, err := m.Boot(t.Context())
	require.NoError(t, err)
	require.Equal(t, "once", m.run("raw twice\nprint once").text(kernel.TypeStdout))
}

func TestJupyterDeath(t *testing.T) {
	for _, tt := range []struct{ name, code, exit string }{
		{"exit", "exit 3", "exit status 3"},
		{"wish to be shut down", "quit", "exit status 5"},
		{"end of a socket", "close", "kernel closed its sockets"},
	} {
		t.Run(tt.name+" ends the kernel", func(t *testing.T) {
			m := bootedKernel(t)
			var sink recorder
			err := m.Execute(t.Context(), Run{Code: "raw before\n" + tt.code}, &sink)
			require.ErrorIs(t, err, ErrExited)
			require.Equal(t, tt.exit, m.Exit().Value)
			require.Equal(t, "before", sink.text(kernel.TypeStdout))
			require.ErrorIs(t, m.Ping(t.Context()), ErrExited)
		})
	}
	t.Run("kill", func(t *testing.T) {
		m := bootedKernel(t)
		sink, ended := m.start("print x\nhang")
		require.NoError(t, m.Kill(t.Context()))
		require.ErrorIs(t, <-ended, ErrExited)
		require.Equal(t, Exit{Value: "signal: killed", Process: fmt.Sprintf("scripted, pid %d", m.process.pid)}, m.Exit())
		require.Equal(t, "x", sink.text(kernel.TypeStdout))
		require.NoError(t, m.Interrupt(), "a dead kernel is no error")
	})
	t.Run("kernel that does not answer is given up with the context", func(t *testing.T) {
		m := bootedKernel(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := m.Execute(ctx, Run{Code: "hang"}, &recorder{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-m.Exited()
	})
}

func TestJupyterInterrupt(t *testing.T) {
	for _, how := range []string{interruptSignal, interruptMessage} {
		t.Run(how, func(t *testing.T) {
			language := scriptedLanguage(t)
			language.Interrupt = how
			m := newJupyterMachine(t, language)
			_, err := m.Boot(t.Context())
			require.NoError(t, err)
			require.NoError(t, m.Interrupt(), "one before all hits nothing")
			sink, ended := m.start("print x\nwait")
			require.NoError(t, m.Interrupt())
			require.NoError(t, <-ended)
			require.Equal(t, "interrupted", sink.events[2].Value)
			require.NoError(t, m.Interrupt(), "one that comes late hits nothing")
			require.NoError(t, m.Ping(t.Context()))
			require.Equal(t, "y", m.run("print y").text(kernel.TypeStdout))
		})
	}
}

// uidOf returns whose a file is.
func uidOf(info os.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}
