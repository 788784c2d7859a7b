package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
	"cubby/orchestrator/kernel"
)

func TestEndings(t *testing.T) {
	interrupted := &kernel.Event{Type: kernel.TypeError, Name: "KeyboardInterrupt", Value: "", Traceback: "at line 1"}
	other := &kernel.Event{Type: kernel.TypeError, Name: "ValueError", Value: "v", Traceback: "at line 2"}
	for _, tc := range []struct {
		name  string
		error *kernel.Event // of the code, before
		done  kernel.Event
		want  []string // name, value, traceback; none: no error line
	}{
		{"ok", nil, kernel.Event{Ending: kernel.EndingOK}, nil},
		{"error", other, kernel.Event{Ending: kernel.EndingError}, []string{"ValueError", "v", "at line 2"}},
		{"timeout", nil, kernel.Event{Ending: kernel.EndingTimeout, Value: "1s"}, []string{"TimeoutError", "execution ran into its timeout: 1s; a larger timeout_ms gives it more time", ""}},
		{"timeout that the code shows as an interrupt", interrupted, kernel.Event{Ending: kernel.EndingTimeout}, []string{"TimeoutError", "execution ran into its timeout; a larger timeout_ms gives it more time", "at line 1"}},
		{"timeout that killed the kernel", nil, kernel.Event{Ending: kernel.EndingTimeout, State: kernel.StateLost}, []string{"TimeoutError", "execution ran into its timeout; the context's variables are lost, and the next execution has a fresh kernel; a larger timeout_ms gives it more time", ""}},
		{"interrupted while queued", nil, kernel.Event{Ending: kernel.EndingInterrupted}, []string{"KeyboardInterrupt", "execution was interrupted", ""}},
		{"interrupted by force", interrupted, kernel.Event{Ending: kernel.EndingInterrupted, State: kernel.StateLost}, []string{"KeyboardInterrupt", "execution was interrupted; the context's variables are lost, and the next execution has a fresh kernel", "at line 1"}},
		{"interrupted, and the code says so itself", interrupted, kernel.Event{Ending: kernel.EndingInterrupted, State: kernel.StatePreserved}, []string{"KeyboardInterrupt", "", "at line 1"}},
		{"interrupted, and the code says something else", other, kernel.Event{Ending: kernel.EndingInterrupted}, []string{"KeyboardInterrupt", "execution was interrupted", "at line 2"}},
		{"out of memory", nil, kernel.Event{Ending: kernel.EndingOOM, State: kernel.StateLost}, []string{"OutOfMemoryError", "out of memory: the kernel was killed; the context's variables are lost, and the next execution has a fresh kernel; use less at a time, or have the server started with a larger --memory", ""}},
		{"nobody knows what became of the state", nil, kernel.Event{Ending: kernel.EndingInterrupted, State: kernel.StateUnknown}, []string{"KeyboardInterrupt", "execution was interrupted; whether the context's variables are kept is not known", ""}},
		{"crashed", nil, kernel.Event{Ending: kernel.EndingCrashed, Value: "signal: segmentation fault", State: kernel.StateLost}, []string{"KernelDied", "the kernel died: signal: segmentation fault; the context's variables are lost, and the next execution has a fresh kernel", ""}},
		{"too much output", nil, kernel.Event{Ending: kernel.EndingOutputLimit}, []string{"OutputLimit", "the execution wrote more than it may; print less, write to a file, or ask for a larger max_output_bytes, as far as the server allows it", ""}},
		{"disk full", nil, kernel.Event{Ending: kernel.EndingDiskFull}, []string{"DiskFull", "the workspace is full; remove files below /home/user", ""}},
		{"restarted", nil, kernel.Event{Ending: kernel.EndingRestarted, Value: "why", State: kernel.StateLost}, []string{"ContextRestarted", "Context was restarted", ""}},
		{"removed", nil, kernel.Event{Ending: kernel.EndingRemoved, State: kernel.StateLost}, []string{"ContextRemoved", "Context was removed", ""}},
		{"lost", nil, kernel.Event{Ending: kernel.EndingLost, Value: "who and why", State: kernel.StateLost}, []string{"ContextLost", "the context's container is gone: who and why; the context's variables are lost, and the next execution has a fresh kernel; run the code again, from the beginning", ""}},
		{"lost, while the container may be well", nil, kernel.Event{Ending: kernel.EndingLost, Value: "who and why", State: kernel.StateUnknown}, []string{"ContextLost", "who and why", ""}},
		{"an ending of a later day", nil, kernel.Event{Ending: "moved"}, []string{"UnexpectedEndOfExecution", "the execution ended: moved", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := translation{generation: 7}
			if tc.error != nil {
				require.Empty(t, tr.lines(*tc.error), "held back")
			}
			tc.done.Type = kernel.TypeDone
			lines := tr.lines(tc.done)
			var got []string
			for _, line := range lines[:len(lines)-1] {
				e := line.(wire.ExecutionError)
				got = append(got, e.Name, e.Value, e.Traceback)
			}
			require.Equal(t, tc.want, got)
			end := lines[len(lines)-1].(wire.EndOfExecution)
			require.Equal(t, wire.TypeEndOfExecution, end.Type)
			require.Equal(t, string(tc.done.Ending), end.Ending)
			require.Equal(t, string(tc.done.State), end.State)
			require.Equal(t, 7, end.Generation)
		})
	}
}
