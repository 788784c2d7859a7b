package supervisor

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestDecoder(t *testing.T) {
	cases := []struct {
		name   string
		chunks []string
		want   []string
		flush  []string
	}{
		{"plain text", []string{"ab", "c"}, []string{"ab", "c"}, nil},
		{"character in two reads", []string{"a\xe2\x82", "\xacb"}, []string{"a", "€b"}, nil},
		{"character byte by byte", []string{"\xf0", "\x9f", "\x98", "\x80"}, []string{"😀"}, nil},
		{"character that never ends", []string{"\xe2\x82"}, nil, []string{"\ufffd\ufffd"}},
		{"bytes that are no text", []string{"a\xff\xfeb"}, []string{"a\ufffd\ufffdb"}, nil},
		{"beginning that nothing can complete", []string{"\xc0"}, []string{"\ufffd"}, nil},
		{"long text", []string{strings.Repeat("€", kernel.MaxText/3+1)}, []string{strings.Repeat("€", kernel.MaxText/3), "€"}, nil},
		{"long garbage", []string{strings.Repeat("\xff", kernel.MaxText/3+1)}, []string{strings.Repeat("\ufffd", kernel.MaxText/3), "\ufffd"}, nil},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			var d decoder
			var got []string
			emit := func(text string) { got = append(got, text) }
			for _, chunk := range tt.chunks {
				d.decode([]byte(chunk), emit)
			}
			require.Equal(t, tt.want, got)
			got = nil
			d.flush(emit)
			require.Equal(t, tt.flush, got)
		})
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("a€😀\xff\xe2\x82"), 2)
	f.Fuzz(func(t *testing.T, input []byte, cut int) {
		var whole, pieces strings.Builder
		var one, many decoder
		one.decode(bytes.Clone(input), func(s string) { whole.WriteString(s) })
		one.flush(func(s string) { whole.WriteString(s) })
		for size := min(max(cut, 1), 10); len(input) > 0; input = input[min(size, len(input)):] {
			many.decode(bytes.Clone(input[:min(size, len(input))]), func(s string) {
				require.LessOrEqual(t, len(s), kernel.MaxText)
				pieces.WriteString(s)
			})
		}
		many.flush(func(s string) { pieces.WriteString(s) })
		require.Equal(t, whole.String(), pieces.String())
	})
}
