package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// escapeLength is the length of the longest escape in a JSON string, \uXXXX.
const escapeLength = 6

// shortError returns what is told instead of an error whose frame is too long, of which the beginning and the end were
// kept: the text in which the one ends goes on, after a note, where the other begins. A sketch of the beginning has the
// name at least.
func shortError(sketch driverFrame, beginning, end []byte, size int) driverFrame {
	var frame driverFrame
	if rejoin(beginning, end, size, func(text []byte) bool {
		frame = driverFrame{}
		return json.Unmarshal(text, &frame) == nil && frame.Type == driverError
	}) {
		return frame
	}
	sketch.Value = fmt.Sprintf("[error of %d bytes left out]", size)
	return sketch
}

// rejoin makes a JSON text of the beginning and the end of one of size bytes, with a note in the string where the middle
// is missing, or else of the beginning alone. It reports whether there is a way to which read agrees.
func rejoin(beginning, end []byte, size int, read func(text []byte) bool) bool {
	// The ends of a sketch may lie beside a text, but hardly those of its halves as well.
	for _, head := range [][]byte{beginning, beginning[:len(beginning)/2]} {
		for _, tail := range [][]byte{end, end[len(end)/2:]} {
			head, tail := head[:lastCut(head)], tail[firstCut(tail):]
			note := fmt.Sprintf(`\n[%d bytes left out]\n`, size-len(head)-len(tail))
			if read(slices.Concat(head, []byte(note), tail)) {
				return true
			}
		}
	}
	for _, head := range [][]byte{beginning, beginning[:len(beginning)/2]} { // cut in two texts that nest differently
		head := head[:lastCut(head)]
		note := fmt.Sprintf(`\n[%d bytes left out]\n"`, size-len(head))
		if read(slices.Concat(head, []byte(note), closing(head))) {
			return true
		}
	}
	return false
}

// closing returns the brackets that are missing behind the beginning of a JSON text.
func closing(text []byte) (brackets []byte) {
	inside := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == '{' || c == '[':
			brackets = append(brackets, c+2) // ASCII has } and ] two places after { and [
		case c == '}' || c == ']':
			brackets = brackets[:max(len(brackets)-1, 0)]
		}
	}
	slices.Reverse(brackets)
	return brackets
}

// lastCut returns the last place in the beginning of a JSON text that lies in a string, and in no escape.
func lastCut(text []byte) (cut int) {
	inside := false
	for i := 0; i < len(text); i++ {
		switch {
		case inside && text[i] == '\\':
			length := 2
			if bytes.HasPrefix(text[i:], []byte(`\u`)) {
				length = escapeLength
			}
			if i+length > len(text) {
				return i
			}
			i += length - 1
		case text[i] == '"':
			inside = !inside
		}
		if inside {
			cut = i + 1
		}
	}
	return cut
}

// firstCut returns the first place in the end of a JSON text that lies in no escape, provided that it begins in a
// string.
func firstCut(text []byte) int {
	plain := 0 // bytes since a backslash
	for i, b := range text {
		switch {
		case b != '\\':
			plain++
		case plain > 0:
			return i // where an escape begins
		}
		if plain >= escapeLength {
			return i
		}
	}
	return len(text)
}
