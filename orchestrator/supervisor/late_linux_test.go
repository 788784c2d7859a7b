package supervisor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// TestLateOutputOfAProcess leaves processes and threads behind that print while later executions run.
func TestLateOutputOfAProcess(t *testing.T) {
	left := []string{
		"import subprocess; subprocess.Popen('sleep 0.5; echo late; echo late >&2', shell=True)",
		"import subprocess; subprocess.Popen('sleep 0.5; echo late; echo late >&2', shell=True, start_new_session=True)",
		"import threading, os; out, err = os.dup(1), os.dup(2); threading.Timer(0.5, lambda out, err: (os.write(out, b'late\\n'), os.write(err, b'late\\n')), (out, err)).start()",
		"import os, time\nif os.fork() == 0:\n    time.sleep(0.5); os.write(1, b'late\\n'); os.write(2, b'late\\n'); os._exit(0)",
	}
	c := live(t)
	late, done := map[string]string{}, map[string]uint64{}
	take := func(id string) {
		for ev := c.next(); ; ev = c.next() {
			require.NotEqual(t, kernel.TypeError, ev.Type, "%s", ev.Traceback)
			if ev.Type == kernel.TypeDone {
				require.Equal(t, []any{id, kernel.EndingOK}, []any{ev.ID, ev.Ending})
				done[id] = ev.Seq
				return
			}
			late[ev.ID] += ev.Text
		}
	}
	for i := range 20 {
		id := fmt.Sprint(i)
		c.execute(id, left[i%len(left)])
		take(id)
	}
	c.execute("last", "import time; time.sleep(1)")
	take("last")
	for i := range 20 {
		id := fmt.Sprint(i)
		for late[id] != "late\nlate\n" { // a slow machine's is still to come
			ev := c.next()
			late[ev.ID] += ev.Text
		}
		c.send(kernel.Request{Op: kernel.OpResume, ID: id, After: done[id]})
		for text := ""; text != "late\nlate\n"; {
			ev := c.next()
			require.Equal(t, id, ev.ID)
			text += ev.Text
		}
	}
	require.Empty(t, late["last"])
}
