package api

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
	"cubby/orchestrator/kernel"
)

var update = flag.Bool("update", false, "write the golden files")

// TestLinesGolden plays testdata/*.events, the frames of one execution each, and compares the lines with *.ndjson.
func TestLinesGolden(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.events")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			events, err := os.ReadFile(script)
			require.NoError(t, err)
			tr := translation{generation: 3}
			var got strings.Builder
			for frame := range strings.Lines(string(events)) {
				var ev kernel.Event
				require.NoError(t, json.Unmarshal([]byte(frame), &ev))
				for _, line := range tr.lines(ev) {
					text, err := wire.Marshal(line)
					require.NoError(t, err)
					got.Write(append(text, '\n'))
				}
			}
			golden := strings.TrimSuffix(script, ".events") + ".ndjson"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

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
		{"timeout", nil, kernel.Event{Ending: kernel.EndingTimeout, Value: "1s"}, []string{"TimeoutError", "execution ran into its timeout: 1s", ""}},
		{"timeout that the code shows as an interrupt", interrupted, kernel.Event{Ending: kernel.EndingTimeout}, []string{"TimeoutError", "execution ran into its timeout", "at line 1"}},
		{"timeout that killed the kernel", nil, kernel.Event{Ending: kernel.EndingTimeout, State: kernel.StateLost}, []string{"TimeoutError", "execution ran into its timeout; the context's variables are lost", ""}},
		{"interrupted while queued", nil, kernel.Event{Ending: kernel.EndingInterrupted}, []string{"KeyboardInterrupt", "execution was interrupted", ""}},
		{"interrupted, and the code says so itself", interrupted, kernel.Event{Ending: kernel.EndingInterrupted}, []string{"KeyboardInterrupt", "", "at line 1"}},
		{"interrupted, and the code says something else", other, kernel.Event{Ending: kernel.EndingInterrupted}, []string{"KeyboardInterrupt", "execution was interrupted", "at line 2"}},
		{"out of memory", nil, kernel.Event{Ending: kernel.EndingOOM, State: kernel.StateLost}, []string{"OutOfMemoryError", "the kernel was killed: the context ran out of memory; the context's variables are lost", ""}},
		{"crashed", nil, kernel.Event{Ending: kernel.EndingCrashed, Value: "signal: segmentation fault", State: kernel.StateLost}, []string{"KernelDied", "the kernel died: signal: segmentation fault; the context's variables are lost", ""}},
		{"too much output", nil, kernel.Event{Ending: kernel.EndingOutputLimit}, []string{"OutputLimit", "the execution wrote more than it may", ""}},
		{"disk full", nil, kernel.Event{Ending: kernel.EndingDiskFull}, []string{"DiskFull", "the workspace is full", ""}},
		{"restarted", nil, kernel.Event{Ending: kernel.EndingRestarted, Value: "why", State: kernel.StateLost}, []string{"ContextRestarted", "Context was restarted", ""}},
		{"removed", nil, kernel.Event{Ending: kernel.EndingRemoved, State: kernel.StateLost}, []string{"ContextRemoved", "Context was removed", ""}},
		{"lost", nil, kernel.Event{Ending: kernel.EndingLost, Value: "who and why", State: kernel.StateLost}, []string{"ContextLost", "who and why", ""}},
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
			require.Equal(t, wire.EndOfExecution{
				Type: wire.TypeEndOfExecution, Ending: string(tc.done.Ending), State: string(tc.done.State), Generation: 7,
			}, lines[len(lines)-1])
		})
	}
	for ending := range endings {
		_, own := new(translation).errorOf(kernel.Event{Ending: ending})
		require.False(t, own, ending)
	}
}

func TestResultsThatParsersRefuseAreLeftOut(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	for name, tc := range map[string]struct {
		value string
		kept  bool
	}{
		"deep":                       {nested(maxDepth), true},
		"too deep":                   {nested(maxDepth + 1), false},
		"objects, too deep":          {strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1), false},
		"wide":                       {"[" + strings.Repeat("[],", maxDepth) + "1]", true},
		"a long number":              {strings.Repeat("1", maxDigits), true},
		"too long a number":          {"[1,-" + strings.Repeat("1", maxDigits+1) + "]", false},
		"many numbers":               {"[" + strings.Repeat("1,", maxDigits) + "1]", true},
		"a string of both":           {`"` + strings.Repeat("[", maxDepth+1) + `\"` + strings.Repeat("1", maxDigits+1) + `"`, true},
		"a string and then brackets": {`["\\",` + nested(maxDepth) + "]", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := result(kernel.Event{Data: map[string]json.RawMessage{
				"text/plain": json.RawMessage(`"text"`), "application/json": json.RawMessage(tc.value), "x/y": json.RawMessage(tc.value),
			}})
			require.Equal(t, "text", *r.Text)
			require.Equal(t, tc.kept, r.JSON != nil)
			require.Equal(t, tc.kept, r.Extra["x/y"] != nil)
		})
	}
	t.Run("types beyond a number", func(t *testing.T) {
		data := map[string]json.RawMessage{"text/plain": json.RawMessage(`"text"`)}
		for i := range 2 * maxExtra {
			data[fmt.Sprintf("x/%03d", i)] = json.RawMessage(`1`)
		}
		r := result(kernel.Event{Data: data})
		require.Equal(t, "text", *r.Text)
		require.Len(t, r.Extra, maxExtra)
		require.Contains(t, r.Extra, "x/000")
	})
}

func TestTimestamps(t *testing.T) {
	east := time.FixedZone("", 3600)
	line := output(wire.TypeStdout, kernel.Event{Time: time.Date(2024, 1, 1, 1, 0, 0, 0, east)})
	require.Equal(t, "2024-01-01T00:00:00.000000+00:00", line.Timestamp)
}

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{
		`'bar'`: "bar", `"bar"`: "bar", `'a' + 'b'`: "a' + 'b", `'`: "", `"`: "", `''`: "", "": "",
		`'a"`: `'a"`, `a'`: "a'", `'a`: "'a", `"'a'"`: "'a'", "1": "1", "'é'": "é",
	} {
		require.Equal(t, want, unquote(text), text)
	}
}

func FuzzUnquote(f *testing.F) {
	for _, seed := range []string{"", "'", "''", `"a"`, "'\xff'", "'a\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := unquote(text)
		quoted := len(text) > 0 && text[0] == text[len(text)-1] && (text[0] == '\'' || text[0] == '"')
		switch {
		case !quoted:
			require.Equal(t, text, got)
		case len(text) == 1:
			require.Empty(t, got)
		default:
			require.Equal(t, text, text[:1]+got+text[:1])
		}
	})
}

func FuzzLoneSurrogate(f *testing.F) {
	for _, seed := range []string{`"\ud83d\ude00"`, `"\ud800"`, `"\\ud800"`, `"\udc00\ud800"`, `"\ud800\ud800\udc00"`, `"\u"`, `"\ud8`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return
		}
		if hasLoneSurrogate(raw) {
			require.Contains(t, text, "\ufffd", "what is lone is replaced")
		} else {
			again, err := json.Marshal(text)
			require.NoError(t, err)
			require.False(t, hasLoneSurrogate(again))
		}
	})
}
