package kernel_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestOutputBytes(t *testing.T) {
	long := strings.Repeat("x", kernel.MaxKeptError)
	for name, tc := range map[string]struct {
		ev   kernel.Event
		want int64
	}{
		"started":                      {kernel.Event{Type: kernel.TypeStarted, Count: 3}, 0},
		"stdout":                       {kernel.Event{Type: kernel.TypeStdout, Text: "äb"}, 3},
		"stderr":                       {kernel.Event{Type: kernel.TypeStderr, Text: "ab"}, 2},
		"result":                       {kernel.Event{Type: kernel.TypeResult, Data: map[string]json.RawMessage{"a/b": []byte(`"1"`), "c/d": []byte("23")}}, 5},
		"gap":                          {kernel.Event{Type: kernel.TypeGap, Bytes: 7}, 7},
		"an error":                     {kernel.Event{Type: kernel.TypeError, Name: "E", Value: "v", Traceback: "t"}, 0},
		"a long error":                 {kernel.Event{Type: kernel.TypeError, Name: "E", Value: "v", Traceback: long}, kernel.MaxKeptError + 1},
		"an error that escapes expand": {kernel.Event{Type: kernel.TypeError, Value: strings.Repeat("\x01", kernel.MaxKeptError/6)}, kernel.MaxKeptError / 6},
		"done":                         {kernel.Event{Type: kernel.TypeDone, Value: "killed"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, tc.ev.OutputBytes())
			var again kernel.Event
			require.NoError(t, json.Unmarshal(tc.ev.Encode(), &again))
			require.Equal(t, tc.want, again.OutputBytes(), "at the other end")
		})
	}
}
