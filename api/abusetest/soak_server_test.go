//go:build integration

package abusetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/client"
)

// soakMemory is what a context of the soak may use: little, so that running out of it is quick.
const soakMemory = "256MiB"

// soakServer is the server's program, which can be killed and started again: on the same address and state.
type soakServer struct {
	address string
	state   string
	logs    string // a file for each life

	mu      sync.Mutex
	lives   int // how many have begun
	up      bool
	process *exec.Cmd
	ended   chan error
}

func newSoakServer(t *testing.T) *soakServer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return &soakServer{
		address: listener.Addr().String(), state: t.TempDir(), logs: t.TempDir(),
	}
}

// start starts a life and waits until it answers.
func (s *soakServer) start(t *testing.T) {
	t.Helper()
	require.NoError(t, s.begin(t.Context()))
}

func (s *soakServer) begin(ctx context.Context) error {
	program, err := filepath.Abs(cmp.Or(os.Getenv("CUBBY_BIN"), "../../bin/cubby"))
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "serve", "--listen", s.address, "--state-dir", s.state, "--memory", soakMemory) //nolint:noctx // ends by a signal
	cmd.Env = foreignEnvironment()
	s.mu.Lock()
	s.lives++
	s.mu.Unlock()
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server (make build): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.mu.Lock()
	s.process, s.ended = cmd, ended
	s.mu.Unlock()
	if err := s.awaitHealth(ctx, ended); err != nil {
		return err
	}
	s.mu.Lock()
	s.up = true
	s.mu.Unlock()
	return nil
}

// awaitHealth waits until the server answers. A nil ended means that somebody else may start it yet.
func (s *soakServer) awaitHealth(ctx context.Context, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := (&client.Client{URL: s.url()}).Health(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case err := <-ended:
			return fmt.Errorf("the server ended before it answered: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *soakServer) url() string { return "http://" + s.address }

// life returns which life this is, and whether the server is up: one that was up all the time between two calls that
// return the same had no excuse.
func (s *soakServer) life() (number int, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives, s.up
}

// log is the file that this life writes to.
func (s *soakServer) log() string {
	number, _ := s.life()
	return filepath.Join(s.logs, fmt.Sprintf("%06d", number))
}

func (s *soakServer) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Process.Pid
}

// end ends the life with a signal that leaves it no choice.
func (s *soakServer) end(signal syscall.Signal) {
	s.mu.Lock()
	process, ended := s.process, s.ended
	s.process, s.ended, s.up = nil, nil, false
	s.mu.Unlock()
	if process != nil {
		_ = process.Process.Signal(signal) // fails only on one that has ended already
		<-ended
	}
}

// killEvery kills the server and starts it again until ctx ends. It is up afterwards.
func (s *soakServer) killEvery(ctx context.Context, period time.Duration, told *tally) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(period/2 + rand.N(period)):
		}
		s.end(syscall.SIGKILL)
		told.fault("server killed")
		<-time.After(rand.N(2 * time.Second)) // the time in which a supervisor has no reader
		if err := s.begin(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// quit ends the life in the way that has Go tell of all goroutines, and returns them.
func (s *soakServer) quit(t *testing.T) goroutines {
	t.Helper()
	s.end(syscall.SIGQUIT)
	raw, err := os.ReadFile(s.log())
	require.NoError(t, err)
	_, dump, ok := bytes.Cut(raw, []byte("\nSIGQUIT: quit\n"))
	require.True(t, ok, "no goroutines in the server's log:\n%s", tail(raw))
	return parseGoroutines(string(dump))
}

// tellLogs returns the ends of the newest logs.
func (s *soakServer) tellLogs() string {
	names, err := filepath.Glob(filepath.Join(s.logs, "*"))
	var told strings.Builder
	for _, name := range names[max(0, len(names)-2):] {
		raw, readErr := os.ReadFile(name)
		err = errors.Join(err, readErr)
		fmt.Fprintf(&told, "%s:\n%s\n", name, tail(raw))
	}
	if err != nil {
		fmt.Fprintln(&told, err)
	}
	return told.String()
}

// tail returns the end of a log.
func tail(raw []byte) []byte {
	const kept = 16 << 10
	return raw[max(0, len(raw)-kept):]
}
