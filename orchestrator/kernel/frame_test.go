package kernel_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestReader(t *testing.T) {
	long := `{"type":"stdout","text":"` + strings.Repeat("x", 200<<10) + `"}`
	for name, tc := range map[string]struct {
		stream string
		types  []kernel.EventType
		end    error
	}{
		"nothing":            {stream: "", end: io.EOF},
		"one frame":          {stream: `{"type":"pong"}` + "\n", types: []kernel.EventType{kernel.TypePong}, end: io.EOF},
		"two frames":         {stream: "{\"type\":\"pong\"}\n{\"type\":\"done\"}\n", types: []kernel.EventType{"pong", "done"}, end: io.EOF},
		"longer than buffer": {stream: long + "\n", types: []kernel.EventType{"stdout"}, end: io.EOF},
		"cut inside a frame": {stream: "{\"type\":\"pong\"}\n{\"ty", types: []kernel.EventType{"pong"}, end: io.ErrUnexpectedEOF},
		"cut in a long one":  {stream: long[:100<<10], end: io.ErrUnexpectedEOF},
		"too long":           {stream: strings.Repeat("x", kernel.MaxFrame+1<<10), end: kernel.ErrFrameTooLarge},
		"unknown keys":       {stream: `{"type":"pong","future":[1]}` + "\n", types: []kernel.EventType{"pong"}, end: io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			for _, wrap := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.DataErrReader} {
				r := kernel.NewReader(wrap(strings.NewReader(tc.stream)))
				var types []kernel.EventType
				for {
					var ev kernel.Event
					err := r.Read(&ev)
					if err != nil {
						require.ErrorIs(t, err, tc.end)
						break
					}
					types = append(types, ev.Type)
				}
				require.Equal(t, tc.types, types)
			}
		})
	}
}

func TestWriteFrameRefusesWhatNoReaderTakes(t *testing.T) {
	var out bytes.Buffer
	err := kernel.WriteFrame(&out, kernel.Request{Code: strings.Repeat("x", kernel.MaxFrame)})
	require.ErrorIs(t, err, kernel.ErrFrameTooLarge)
	require.Zero(t, out.Len(), "the stream stays usable")
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(`{"type":"stdout","text":"\u2028"}` + "\n" + `{"id":"a","seq":3}`))
	f.Add([]byte("\n\n[]\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := kernel.NewReader(bytes.NewReader(stream))
		for range 1000 {
			var ev kernel.Event
			if err := r.Read(&ev); err != nil {
				return
			}
			var out bytes.Buffer
			require.NoError(t, kernel.WriteFrame(&out, ev))
			require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")), "a frame is one line")
			var again kernel.Event
			require.NoError(t, json.Unmarshal(out.Bytes(), &again))
		}
	})
}
