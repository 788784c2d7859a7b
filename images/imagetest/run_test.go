package imagetest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// tell returns what is collected of an execution that tells events and then is done.
func tell(t *testing.T, events ...orchestrator.Event) *Run {
	t.Helper()
	e := orchestrator.NewExecution("id", "context", 1, nil, nil)
	for i, ev := range append(events, orchestrator.Event{Type: kernel.TypeDone, Ending: kernel.EndingOK}) {
		ev.Seq = uint64(i) + 1
		e.Deliver(ev)
	}
	return collect(t, e, nil)
}

func shown(main bool, text string) orchestrator.Event {
	data := map[string]json.RawMessage{"text/plain": json.RawMessage(text)}
	return orchestrator.Event{Type: kernel.TypeResult, Main: main, Data: data}
}

func failed(name, value string) orchestrator.Event {
	return orchestrator.Event{Type: kernel.TypeError, Name: name, Value: value}
}

func TestWantHasAllThatAnExecutionBrought(t *testing.T) {
	for name, tt := range map[string]struct {
		events []orchestrator.Event
		want   Want
	}{
		"nothing": {},
		"output in pieces": {[]orchestrator.Event{
			{Type: kernel.TypeStdout, Text: "a"}, {Type: kernel.TypeStderr, Text: "b"}, {Type: kernel.TypeStdout, Text: "c"},
		}, Want{Out: "ac", Err: "b"}},
		"results of two kinds": {[]orchestrator.Event{shown(false, `"d"`), shown(true, `"m"`)}, Want{Main: "m", Displays: "d"}},
		"two main results":     {[]orchestrator.Event{shown(true, `"1"`), shown(true, `"2"`)}, Want{Main: "1\n2"}},
		"a result without text": {
			[]orchestrator.Event{{Type: kernel.TypeResult, Main: true, Data: map[string]json.RawMessage{}}}, Want{Main: "<nil>"},
		},
		"two errors": {[]orchestrator.Event{failed("A", "x"), failed("B", "")}, Want{Error: "A: x\nB: "}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, tell(t, tt.events...).Want())
		})
	}
}

func TestWantTellsOfAnEndingThatNoErrorTellsOf(t *testing.T) {
	r := &Run{Done: orchestrator.Event{Type: kernel.TypeDone, Ending: kernel.EndingCrashed, Value: "gone"}}
	require.Equal(t, Want{Error: "crashed: gone"}, r.Want())
}

func TestNumbersOfResultsAreAsTheyWereWritten(t *testing.T) {
	r := tell(t, shown(true, `{"n": [1, 1.0]}`))
	require.Equal(t, []Result{{Main: true, Data: map[string]any{
		"text/plain": map[string]any{"n": []any{json.Number("1"), json.Number("1.0")}},
	}}}, r.Results)
	require.Equal(t, kernel.EndingOK, r.Done.Ending)
}
