package supervisor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// TestBashLadder climbs the ladder of an execution's end against what a shell can do.
func TestBashLadder(t *testing.T) {
	for _, tt := range []struct {
		name, before, code string
		state              kernel.State
	}{
		{"loop", "", "while :; do :; done", kernel.StatePreserved},
		{"child", "", "sleep 600; echo no", kernel.StatePreserved},
		{"flood of output", "", "yes", kernel.StatePreserved},
		{"signal ignored", "", "trap '' INT TERM HUP; while :; do :; done", kernel.StateLost},
		{"signal swallowed", "", "trap : INT; while :; do :; done", kernel.StateLost},
		{"child in a group of its own", "", "set -m; sleep 600; :", kernel.StateLost},
		{"exit for the signal", "", "trap 'exit 130' INT; sleep 600", kernel.StateLost},
		{"stopped by itself", "", "kill -STOP $$", kernel.StateLost},
		{"slow program in a trap", "trap 'y=$(sleep 0.05)' DEBUG", "sleep 600", kernel.StatePreserved},
		{"slow loop in a trap", "trap 'for i in {1..30000}; do :; done' DEBUG", "sleep 600", kernel.StatePreserved},
		{"slow program at the prompt", "PROMPT_COMMAND='y=$(sleep 0.05)'", "sleep 600", kernel.StatePreserved},
		{"slow loop at the prompt", "PROMPT_COMMAND='for i in {1..30000}; do :; done'", "sleep 600", kernel.StatePreserved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := liveShell(t)
			c.execute("0", "x=41; "+tt.before)
			c.over()
			c.execute("1", "echo up; "+tt.code)
			c.printed("1", "up")
			time.Sleep(100 * time.Millisecond) // until it is in the statement that is meant
			c.send(kernel.Request{Op: kernel.OpInterrupt, ID: "1"})
			done, _ := c.over()
			require.Equal(t, []any{"1", kernel.EndingInterrupted, tt.state}, []any{done.ID, done.Ending, done.State}, done.Value)
			if tt.state == kernel.StateLost {
				return
			}
			c.execute("2", "echo $((x + 1))")
			done, text := c.over()
			require.Equal(t, []any{"2", kernel.EndingOK, "42\n"}, []any{done.ID, done.Ending, text})
		})
	}
}

// liveShell runs a supervisor with a bash.
func liveShell(t *testing.T) *client {
	t.Helper()
	s := newShell(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	b := &bench{Supervisor: New(Config{Adapter: s.bash}), serve: ctx, conns: &sync.WaitGroup{}}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		b.conns.Wait()
		require.NoError(t, <-ended)
	})
	c := b.dial(t)
	claim := kernel.Request{Op: kernel.OpClaim, Token: "a", Cwd: s.home}
	require.Equal(t, kernel.TypeClaimed, c.ask(claim).Type)
	require.NoError(t, c.stream.SetDeadline(time.Now().Add(2*time.Minute)))
	return c
}
