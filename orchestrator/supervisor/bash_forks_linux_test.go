package supervisor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// TestBashInterruptWhileItForks interrupts bash at moments at which it is likely to be forking: the child then takes
// itself for bash.
func TestBashInterruptWhileItForks(t *testing.T) {
	for _, code := range []string{
		"while :; do read x < <(echo 41); done",
		"while :; do (x=42); done",
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
				require.Equal(t, []any{kernel.EndingInterrupted, kernel.StatePreserved}, []any{done.Ending, done.State}, done.Value)
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
	require.NoError(t, s.ridOfStrays(t.Context()))
	s.prints("137\n", "wait $stray; echo $?")
	s.prints("", "kill -0 $other")

	s.run("set -m; (sleep 1003; :) & job=$!; set +m")
	forks, err := s.forks()
	require.NoError(t, err)
	require.NoError(t, s.signalForks(forks, unix.SIGINT))
	s.prints("", "kill -0 $job")

	s.run("while :; do :; done & looping=$!")
	require.NoError(t, s.ridOfStrays(t.Context()), "a fork that runs may become a stray, but is not waited for forever")
	s.prints("", "kill $looping")
}
