package wire_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

func TestMarshal(t *testing.T) {
	for name, tc := range map[string]struct {
		value any
		want  string
	}{
		"ASCII stays":                       {"a <b> & 'c'", `"a <b> & 'c'"`},
		"accents are escaped":               {"é", `"\u00e9"`},
		"beyond the basic plane: a pair":    {"😀", `"\ud83d\ude00"`},
		"line separators are escaped":       {"\u0085\u2028\u2029", `"\u0085\u2028\u2029"`},
		"controls are escaped":              {"\x0b\x1c\n", `"\u000b\u001c\n"`},
		"invalid UTF-8 is replaced":         {"a\xff", `"a\ufffd"`},
		"invalid UTF-8 in raw JSON":         {json.RawMessage("\"\xff\""), `"\ufffd"`},
		"raw JSON is put on one line":       {json.RawMessage("{\n \"é\": [1,\n null] }"), `{"\u00e9":[1,null]}`},
		"keys are escaped":                  {map[string]int{"ü": 1}, `{"\u00fc":1}`},
		"text before the first is kept":     {"abc é def", `"abc \u00e9 def"`},
		"a backslash before one is its own": {`\é`, `"\\\u00e9"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.Marshal(tc.value)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got))
		})
	}
	t.Run("NaN is an error", func(t *testing.T) {
		_, err := wire.Marshal(math.NaN())
		require.Error(t, err)
	})
	t.Run("a bare NaN in raw JSON is an error", func(t *testing.T) {
		_, err := wire.Marshal(json.RawMessage("NaN"))
		require.Error(t, err)
	})
}

func FuzzMarshal(f *testing.F) {
	for _, seed := range []string{"", "plain", "é\u2028😀", "\xff\x00\\", `\u00e9`, "</script>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, err := wire.Marshal(map[string]any{"key" + text: []string{text}})
		require.NoError(t, err)
		for _, b := range line {
			require.True(t, b >= 0x20 && b < utf8.RuneSelf, "byte %#x in %q", b, line)
		}
		var got map[string][]string
		require.NoError(t, json.Unmarshal(line, &got))
		valid := strings.Map(func(r rune) rune { return r }, text) // as encoding/json: each invalid byte becomes U+FFFD
		require.Equal(t, map[string][]string{"key" + valid: {valid}}, got)
	})
}

func TestParseLine(t *testing.T) {
	text := "1"
	for _, want := range []wire.Line{
		wire.NumberOfExecutions{Type: wire.TypeNumberOfExecutions, ExecutionCount: 3},
		wire.Output{Type: wire.TypeStdout, Text: "é\n", Timestamp: "2026-01-01T00:00:00.000000+00:00"},
		wire.Output{Type: wire.TypeStderr},
		wire.Result{Type: wire.TypeResult, Text: &text, Extra: map[string]json.RawMessage{}, IsMainResult: true},
		wire.ExecutionError{Type: wire.TypeError, Name: "A"},
		wire.Gap{Type: wire.TypeGap, Bytes: 7},
		wire.Keepalive{Type: wire.TypeKeepalive},
		wire.EndOfExecution{Type: wire.TypeEndOfExecution, Outcome: wire.Outcome{Ending: "ok", State: "preserved"}, Generation: 1},
		wire.Other{Type: "from_the_future"},
	} {
		line, err := wire.Marshal(want)
		require.NoError(t, err)
		got, err := wire.ParseLine(line)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, broken := range []string{"", "{", `{"type":1}`, `{"type":"stdout","text":1}`} {
		_, err := wire.ParseLine([]byte(broken))
		require.Error(t, err, broken)
	}
}

func TestParseEvent(t *testing.T) {
	at := func(kind wire.LineType) wire.Position { return wire.Position{Type: kind, Seq: 1<<53 + 1} }
	for _, want := range []wire.Event{
		wire.EventStarted{Position: at(wire.TypeStarted), Count: 3},
		wire.EventOutput{Position: at(wire.TypeStdout), Text: "é\n", Timestamp: "2026-01-01T00:00:00.000000+00:00"},
		wire.EventOutput{Position: at(wire.TypeStderr)},
		wire.EventResult{Position: at(wire.TypeResult), Data: map[string]json.RawMessage{"text/plain": json.RawMessage(`"1"`)}, Main: true},
		wire.EventError{Position: at(wire.TypeError), Name: "A"},
		wire.EventGap{Position: at(wire.TypeGap), Bytes: 7, AtMost: true},
		wire.EventDone{Position: at(wire.TypeDone), Outcome: wire.Outcome{Ending: "ok", State: "preserved", Usage: &wire.Usage{CPUMillis: 1}}, Generation: 1},
		wire.Other{Type: "from_the_future", Seq: 1<<53 + 1},
	} {
		line, err := wire.Marshal(want)
		require.NoError(t, err)
		got, err := wire.ParseEvent(line)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.EqualValues(t, 1<<53+1, got.Sequence())
	}
	for _, want := range []wire.Event{wire.Keepalive{Type: wire.TypeKeepalive}, wire.Replaced{Type: wire.TypeReplaced}} {
		line, err := wire.Marshal(want)
		require.NoError(t, err)
		got, err := wire.ParseEvent(line)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Zero(t, got.Sequence())
	}
	for _, broken := range []string{"", "{", `{"type":1}`, `{"type":"stdout","text":1}`, `{"type":"started","seq":-1}`} {
		_, err := wire.ParseEvent([]byte(broken))
		require.Error(t, err, broken)
	}
}

func TestRouteFor(t *testing.T) {
	require.Equal(t, "/contexts/a/restart", wire.RouteRestart.For("a"))
	require.Equal(t, "/contexts/..%2Fx%3F", wire.RouteGet.For("../x?"))
	require.Equal(t, "/contexts", wire.RouteList.For("a"))
	require.Equal(t, "/contexts/%7Bexecution%7D/executions/%2F/events", wire.RouteEvents.For("{execution}", "/"))
}
