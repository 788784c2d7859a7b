package supervisor

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// bundleOf returns a result's data with so many MIME types.
func bundleOf(types int) mimeBundle {
	bundle := mimeBundle{}
	for i := range types {
		bundle[fmt.Sprint(i)] = json.RawMessage("1")
	}
	return bundle
}

func TestDriverStream(t *testing.T) {
	long := strings.Repeat("x", kernel.MaxFrame)
	typed := func(types int) string {
		text, err := json.Marshal(bundleOf(types))
		require.NoError(t, err)
		return string(text)
	}
	cases := []struct {
		name  string
		lines string
		want  []driverFrame
		fault string
	}{
		{"frames", `{"type":"started","count":3}` + "\n" + `{"type":"done","new":1}` + "\n", []driverFrame{{Type: "started", Count: 3}, {Type: "done"}}, ""},
		{"long result", `{"type":"result","main":true,"data":{"text/plain":"1","image/png":"` + long + `"}}` + "\n" + `{"type":"done"}` + "\n", []driverFrame{
			{Type: "result", Main: true, Data: map[string]json.RawMessage{
				"text/plain": json.RawMessage(`"[text/plain, image/png of 8388678 bytes left out: more than the 8 MiB that fit a frame]"`),
			}},
			{Type: "done"},
		}, ""},
		{"long error", `{"type":"error","name":"E","value":"` + long + `"}` + "\n", []driverFrame{{Type: "error", Name: "E", Value: long[:65500] + "\n[8257579 bytes left out]\n" + long[:65529]}}, ""},
		{"long error that is no object", `{"type":"error","name":"E","value":["` + long + `"]}` + "\n", []driverFrame{{Type: "error", Name: "E", Value: "[error of 8388648 bytes left out]"}}, ""},
		{"long frame of another kind", `{"type":"done","x":"` + long + `"}` + "\n", nil, "8388630 bytes that is no result"},
		{"long garbage", long + long + "\n", nil, "that is no result"},
		{"result of as many types as may be", `{"type":"result","data":` + typed(maxTypes) + "}\n", []driverFrame{{Type: "result", Data: bundleOf(maxTypes)}}, ""},
		{"result of too many types", `{"type":"result","main":true,"data":` + typed(100_000) + "}\n", []driverFrame{{Type: "result", Main: true, Data: map[string]json.RawMessage{
			"text/plain": json.RawMessage(`"[result of 988891 bytes left out: more than 64 MIME types, or one longer than 256 bytes]"`),
		}}}, ""},
		{"result of a type with a long name", `{"type":"result","data":{"` + long[:257] + `":1}}` + "\n", []driverFrame{{Type: "result", Data: map[string]json.RawMessage{
			"text/plain": json.RawMessage(`"[result of 263 bytes left out: more than 64 MIME types, or one longer than 256 bytes]"`),
		}}}, ""},
		{"result without data", `{"type":"result","data":null}` + "\n", []driverFrame{{Type: "result"}}, ""},
		{"result whose data is no object", `{"type":"result","data":[1]}` + "\n", nil, "no object but"},
		{"garbage", "garbage\n", nil, `no frame but "garbage"`},
	}
	for _, tt := range cases {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 30} {
			t.Run(fmt.Sprintf("%s in reads of %d", tt.name, size), func(t *testing.T) {
				var stream driverStream
				var got []driverFrame
				var fault error
				for rest := []byte(tt.lines); len(rest) > 0 && fault == nil; rest = rest[min(size, len(rest)):] {
					fault = stream.feed(rest[:min(size, len(rest))], func(f driverFrame) { f.size = 0; got = append(got, f) })
				}
				if tt.fault != "" {
					require.ErrorContains(t, fault, tt.fault)
				} else {
					require.NoError(t, fault)
				}
				require.Equal(t, tt.want, got)
			})
		}
	}
}

func FuzzSketch(f *testing.F) {
	f.Add([]byte(`{"type":"result","data":{"text/plain":"1","image/png":"xx`))
	f.Fuzz(func(_ *testing.T, beginning []byte) { sketch(beginning) })
}
