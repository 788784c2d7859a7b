package orchestrator_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// mortal is the engine as one server reaches it, until that server is killed: before or after one of its steps, which are
// the engine's calls and the frames that it writes. From then on nothing that it does has an effect: its calls fail, its
// bridges are broken and its store is closed.
type mortal struct {
	orchestrator.Engine
	die   func()
	steps chan int // how many steps are left to live; capacity 1
	dead  chan struct{}
}

var errDead = errors.New("the server is dead")

// step runs one step, or dies before or after it.
func (m *mortal) step(f func() error) error {
	left := <-m.steps
	defer func() { m.steps <- left }()
	select {
	case <-m.dead:
		return errDead
	default:
	}
	if left--; left == 0 {
		m.kill()
		return errDead
	}
	err := f()
	if left--; left == 0 {
		m.kill()
		return errDead
	}
	return err
}

func (m *mortal) kill() {
	close(m.dead)
	m.die()
}

func (m *mortal) Start(ctx context.Context, spec orchestrator.ContainerSpec) (id string, err error) {
	err = m.step(func() error { id, err = m.Engine.Start(ctx, spec); return err })
	return id, err
}

func (m *mortal) Remove(ctx context.Context, container string) error {
	return m.step(func() error { return m.Engine.Remove(ctx, container) })
}

func (m *mortal) Attach(ctx context.Context, id string) (stream io.ReadWriteCloser, err error) {
	err = m.step(func() error { stream, err = m.Engine.Attach(ctx, id); return err })
	if err != nil {
		return nil, err
	}
	return &mortalStream{ReadWriteCloser: stream, m: m}, nil
}

// mortalStream is a bridge of a server that can be killed.
type mortalStream struct {
	io.ReadWriteCloser
	m *mortal
}

func (s *mortalStream) Write(p []byte) (n int, err error) {
	err = s.m.step(func() error { n, err = s.ReadWriteCloser.Write(p); return err })
	if err != nil {
		_ = s.Close()
	}
	return n, err
}

func (s *mortalStream) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	select {
	case <-s.m.dead:
		return 0, errDead
	default:
		return n, err
	}
}

// openMortal starts a server that dies after so many steps.
func (h *house) openMortal(steps int) *mortal {
	m := &mortal{Engine: h.engine, steps: make(chan int, 1), dead: make(chan struct{})}
	m.steps <- steps
	h.open(orchestrator.Config{Engine: m})
	m.die = func() { _ = h.store.Close() }
	return m
}

// settled waits until the engine holds what the contexts name, and nothing else.
func (h *house) settled() {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		list, err := h.List(h.t.Context())
		require.NoError(h.t, err)
		records, err := h.store.Contexts()
		require.NoError(h.t, err)
		return len(list) == len(h.containers()) && len(records) == len(list)
	}, soon, time.Millisecond, "what no record names is gone")
}

// dying runs f against servers that are killed at every step of it, and then looks at the next server.
func dying(t *testing.T, prepare func(h *house) string, f func(h *house, id string, dead <-chan struct{}) error, look func(t *testing.T, h *house, id string, err error)) {
	t.Helper()
	const never = 1 << 30
	for died, steps := true, 1; died; steps++ {
		require.Less(t, steps, 100)
		h := newHouse(t)
		id := prepare(h)
		h.close()
		m := h.openMortal(never)
		if id != "" { // all adopted
			h.eventually(id, orchestrator.StateReady)
		}
		<-m.steps
		m.steps <- steps
		err := f(h, id, m.dead)
		select {
		case <-m.dead:
		default:
			died = false
		}
		h.reopen()
		look(t, h, id, err)
		h.settled()
		h.close()
	}
}

func TestServerKilledAtEveryStep(t *testing.T) {
	prepared := func(h *house) string {
		id := h.create()
		h.run(id, "set x 1")
		return id
	}
	t.Run("of a creation", func(t *testing.T) {
		var created orchestrator.CodeContext
		dying(t, func(*house) string { return "" }, func(h *house, _ string, _ <-chan struct{}) (err error) {
			created, err = h.Create(t.Context(), orchestrator.CreateRequest{})
			return err
		}, func(t *testing.T, h *house, _ string, err error) {
			list, listErr := h.List(t.Context())
			require.NoError(t, listErr)
			if err == nil {
				require.Len(t, list, 1)
				require.Equal(t, created.ID, list[0].ID)
			}
			for _, cc := range list {
				require.Equal(t, fine("hi\n"), h.run(cc.ID, "print hi"))
			}
		})
	})
	t.Run("of a restart", func(t *testing.T) {
		dying(t, prepared, func(h *house, id string, _ <-chan struct{}) error {
			_, err := h.Restart(t.Context(), id)
			return err
		}, func(t *testing.T, h *house, id string, err error) {
			got := h.run(id, "get x")
			if got.ending == kernel.EndingLost {
				require.Error(t, err, "what was answered is not lost")
				got = h.run(id, "get x")
			}
			switch generation := h.get(id).Generation; got {
			case fine("=1"):
				require.Equal(t, 1, generation)
				require.Error(t, err)
			case bad("!NameError"):
				require.Equal(t, 2, generation)
			default:
				require.Fail(t, "neither the old state nor a new one", "%+v", got)
			}
		})
	})
	t.Run("of a removal", func(t *testing.T) {
		dying(t, prepared, func(h *house, id string, _ <-chan struct{}) error {
			return h.Remove(t.Context(), id)
		}, func(t *testing.T, h *house, id string, err error) {
			_, gone := h.Get(t.Context(), id)
			if err == nil {
				require.ErrorIs(t, gone, orchestrator.ErrNotFound)
			}
			if gone == nil {
				require.Equal(t, fine("=1"), h.run(id, "get x"))
			}
		})
	})
	t.Run("of the recovery from a kernel's death", func(t *testing.T) {
		dying(t, prepared, func(h *house, id string, dead <-chan struct{}) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				select {
				case <-dead: // a dead server answers nobody
					cancel()
				case <-ctx.Done():
				}
			}()
			_, err := h.Execute(ctx, orchestrator.ExecuteRequest{Context: id, Code: "die"})
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				select {
				case <-dead:
					return true
				default:
					return h.get(id).Generation == 2
				}
			}, soon, time.Millisecond)
			return nil
		}, func(t *testing.T, h *house, id string, _ error) {
			require.Eventually(t, func() bool { return h.get(id).State == orchestrator.StateReady }, soon, time.Millisecond)
			switch got := h.run(id, "get x"); got {
			case fine("=1"):
				require.Equal(t, 1, h.get(id).Generation, "it was never started")
			default:
				require.Equal(t, told{"", kernel.EndingLost, kernel.StateLost}, got, "nobody has read the done")
				require.Equal(t, bad("!NameError"), h.run(id, "get x"))
			}
		})
	})
}
