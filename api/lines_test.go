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

// TestLinesGolden plays testdata/*.events, the frames of one execution each, and compares what clients get with *.ndjson, the
// lines of /execute, and *.frames, the events. Every ending is among them.
func TestLinesGolden(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.events")
	require.NoError(t, err)
	told := map[kernel.Ending]bool{kernel.EndingOK: false, kernel.EndingError: false}
	for ending := range endings {
		told[ending] = false
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			events, err := os.ReadFile(script)
			require.NoError(t, err)
			for suffix, translated := range map[string]translator{
				".ndjson": &translation{generation: 3}, ".frames": &frames{generation: 3},
			} {
				var got strings.Builder
				for frame := range strings.Lines(string(events)) {
					var ev kernel.Event
					require.NoError(t, json.Unmarshal([]byte(frame), &ev))
					told[ev.Ending] = true
					for _, line := range translated.lines(ev) {
						text, err := wire.Marshal(line)
						require.NoError(t, err)
						got.Write(append(text, '\n'))
					}
				}
				golden := strings.TrimSuffix(script, ".events") + suffix
				if *update {
					require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o600))
				}
				want, err := os.ReadFile(golden)
				require.NoError(t, err)
				require.Equal(t, string(want), got.String())
			}
		})
	}
	require.Len(t, told, 12, "eleven endings, and no ending of other events")
	for ending, seen := range told {
		require.True(t, seen, ending)
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
			r := ResultOf(kernel.Event{Data: map[string]json.RawMessage{
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
		r := ResultOf(kernel.Event{Data: data})
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
