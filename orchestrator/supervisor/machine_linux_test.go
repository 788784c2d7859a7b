package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// recorder is a sink that keeps what it is told.
type recorder struct {
	mu     sync.Mutex
	events []kernel.Event
}

func (r *recorder) Event(ev kernel.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
}

func (r *recorder) Ready(int, <-chan struct{}) {}

// text returns what a stream printed.
func (r *recorder) text(stream kernel.EventType) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text strings.Builder
	for _, ev := range r.events {
		if ev.Type == stream {
			text.WriteString(ev.Text)
		}
	}
	return text.String()
}

// comes waits until a stream has printed a text and nothing else.
func (r *recorder) comes(t *testing.T, stream kernel.EventType, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return r.text(stream) == text }, 10*time.Second, time.Millisecond)
}

// kinds returns the types of the events.
func (r *recorder) kinds() (kinds []kernel.EventType) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		kinds = append(kinds, ev.Type)
	}
	return kinds
}

// machine is a native adapter with a driver of its own and a uid that nobody else has.
type machine struct {
	*native
	t    *testing.T
	runs int
}

// systemPython returns a Python that does not lie in somebody's home, or nothing.
func systemPython() string {
	for _, path := range []string{"/usr/bin/python3", "/usr/local/bin/python3"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// newMachine returns a machine that has not booted. The test needs root, to act as another user.
func newMachine(t *testing.T, arguments ...string) *machine {
	t.Helper()
	python := systemPython()
	if os.Geteuid() != 0 || python == "" {
		t.Skip("needs root, and a python3 that every user can run")
	}
	source, err := os.ReadFile("testdata/driver.py")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "supervisor") //nolint:usetesting // the user cannot enter a t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	driver := filepath.Join(dir, "driver.py")
	require.NoError(t, os.WriteFile(driver, source, 0o644))
	language := Language{Name: "test", Argv: append([]string{python, "-I", driver}, arguments...), Env: map[string]string{"A": "b"}}

	reaper, end := testReaper(t)
	m := &machine{native: newNative(language, newUserThread(1<<30+rand.IntN(1<<28)), reaper), t: t}
	t.Cleanup(func() { end(m, &m.reading, m.user) })
	return m
}

// testReaper starts a reaper, and returns what ends it together with an adapter of its processes: everything of the user
// is killed, and what the adapter has started is waited for.
func testReaper(t *testing.T) (reaper *Reaper, end func(adapter Adapter, reading *sync.WaitGroup, user *userThread)) {
	t.Helper()
	reaper = NewReaper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var reaping sync.WaitGroup
	reaping.Go(func() { reaper.Run(ctx) })
	return reaper, func(adapter Adapter, reading *sync.WaitGroup, user *userThread) {
		killing, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		require.NoError(t, adapter.Kill(killing))
		<-adapter.Exited()
		reading.Wait()
		close(user.calls)
		cancel()
		reaping.Wait()
	}
}

// booted returns a machine that takes requests.
func booted(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	version, err := m.Boot(t.Context())
	require.NoError(t, err)
	require.Equal(t, "test", version)
	return m
}

// run runs code and returns what it told.
func (m *machine) run(code string) *recorder {
	m.t.Helper()
	var sink recorder
	m.runs++
	require.NoError(m.t, m.Execute(m.t.Context(), Run{ID: fmt.Sprint(m.runs), Code: code}, &sink))
	return &sink
}
