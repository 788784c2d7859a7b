package supervisor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// TestBashInterruptWhileItForks interrupts bash at moments at which it is likely to be forking: the child then takes
// itself for bash.
func TestBashInterruptWhileItForks(t *testing.T) {
	for code, surely := range map[string]bool{
		"while :; do read x < <(echo 41); done": true,
		"while :; do (x=42); done":              false, // bash itself may forget every signal: once in some hundred times
	} {
		t.Run(code, func(t *testing.T) {
			c := liveShell(t)
			c.execute("0", "x=41")
			c.over()
			for i := range 10 {
				id := fmt.Sprint("loop ", i)
				c.execute(id, "echo up; "+code)
				c.printed(id, "up")
				time.Sleep(rand.N(4 * time.Millisecond))
				c.send(kernel.Request{Op: kernel.OpInterrupt, ID: id})
				done, _ := c.over()
				require.Equal(t, kernel.EndingInterrupted, done.Ending, done.Value)
				if done.State == kernel.StateLost && !surely {
					return
				}
				require.Equal(t, kernel.StatePreserved, done.State, done.Value)
				c.execute(fmt.Sprint("next ", i), "echo ${x:-41}") // it may have been between reading and setting it
				done, text := c.over()
				require.Equal(t, []any{kernel.EndingOK, "41\n"}, []any{done.Ending, text}, done.Value)
			}
		})
	}
}

func TestBashStrays(t *testing.T) {
	s := bootedShell(t)
	s.run(findChannel + `; (sleep 1001; :) <&"$c" & stray=$!; (sleep 1002; :) & other=$!
		until [[ $(readlink /proc/$stray/fd/0) == socket:* ]]; do sleep 0.01; done`)
	s.ridOfStrays(t.Context())
	s.prints("137\n", "wait $stray; echo $?")
	s.prints("", "kill -0 $other")

	s.run("while :; do :; done & looping=$!")
	s.ridOfStrays(t.Context()) // a fork that runs may become a stray, but is not waited for forever
	s.prints("", "kill $looping")
}

// TestBashForks tells what bash runs besides itself: subshells, and programs, of which those in a group of their own do not
// count.
func TestBashForks(t *testing.T) {
	s := bootedShell(t)
	for _, step := range []struct {
		code  string
		forks int
		alone bool
	}{
		{"", 0, true},
		{"while :; do :; done & loop=$!", 1, true},
		{"set -m; sleep 1001 & job=$!; set +m; until [[ $(</proc/$job/comm) == sleep ]]; do :; done", 1, true},
		{"sleep 1002 & other=$!; until [[ $(</proc/$other/comm) == sleep ]]; do :; done", 1, false},
		{"kill $loop; wait $loop", 0, false},
		{"kill $other; wait $other", 0, true},
	} {
		s.run(step.code)
		forks, alone := s.forks()
		require.Equal(t, []any{step.forks, step.alone}, []any{len(forks), alone}, step.code)
	}
}
