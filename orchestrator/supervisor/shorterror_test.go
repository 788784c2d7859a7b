package supervisor

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

// ascii returns JSON as drivers may write it, without a character beyond ASCII.
func ascii(text []byte) string {
	var out strings.Builder
	for _, unit := range utf16.Encode([]rune(string(text))) {
		if unit < 0x80 {
			out.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// cutOut is the note that stands for the middle of a text.
var cutOut = regexp.MustCompile(`\n\[\d+ bytes left out\]\n`)

// requireEnds requires that the middle of a text is left out, and that both ends hold nothing but pieces.
func requireEnds(t *testing.T, text, begin, piece, end string) {
	t.Helper()
	require.Less(t, len(text), 3*sketchSize)
	halves := cutOut.Split(text, -1)
	require.Len(t, halves, 2)
	require.True(t, strings.HasPrefix(halves[0], begin+piece+piece))
	require.True(t, strings.HasSuffix(halves[1], piece+piece+end))
	for _, half := range halves {
		require.Less(t, len(strings.ReplaceAll(half, piece, "")), 20, "of the pieces only those at the cut are not whole")
	}
}

func TestLongErrorKeepsItsEnds(t *testing.T) {
	for name, piece := range map[string]string{
		"letters": "x", "line ends": "\n", "colours": "\x1b[31mred", "other scripts": "中文", "emoji": "\U0001f600",
		"quotes": `"`, "backslashes between letters": `a\`,
	} {
		long := strings.Repeat(piece, 150_000/len(piece))
		for _, texts := range []struct{ name, value, traceback string }{
			{"traceback", "value", "begin" + long + "end"},
			{"value", "begin" + long + "end", "traceback"},
			{"value and traceback", "begin" + long, long + "end"},
		} {
			t.Run(texts.name+" of "+name, func(t *testing.T) {
				encoded, err := json.Marshal(struct {
					Type      string `json:"type"`
					Name      string `json:"name"`
					Value     string `json:"value"`
					Traceback string `json:"traceback"`
				}{driverError, "E", texts.value, texts.traceback})
				require.NoError(t, err)
				for _, line := range []string{string(encoded), ascii(encoded)} {
					got, err := longFrame([]byte(line[:sketchSize]), []byte(line[len(line)-sketchSize:]), len(line))
					require.NoError(t, err)
					require.Equal(t, "E", got.Name)
					switch {
					case texts.value == "value":
						require.Equal(t, "value", got.Value)
						requireEnds(t, got.Traceback, "begin", piece, "end")
					case texts.traceback == "traceback":
						require.Equal(t, "traceback", got.Traceback)
						requireEnds(t, got.Value, "begin", piece, "end")
					default:
						require.Contains(t, got.Value, "begin"+piece)
						require.Contains(t, got.Value, piece+"end", "the one goes on where the other begins")
					}
				}
			})
		}
	}
}

func FuzzShortError(f *testing.F) {
	f.Add([]byte(`{"type":"error","name":"E","value":"a\u4e2d`), []byte(`4e2d\n","traceback":"x"}`))
	f.Fuzz(func(_ *testing.T, beginning, end []byte) {
		shortError(driverFrame{}, beginning, end, len(beginning)+len(end))
	})
}
