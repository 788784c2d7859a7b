package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Marshal encodes v as JSON in ASCII, on one line, without a newline at its end.
//
// ASCII, because clients get anything else wrong: E2B's JavaScript SDK breaks a character that is split over two
// chunks, its Python SDK takes U+0085, U+2028 and U+2029 for ends of lines. Bytes that are no UTF-8 become U+FFFD;
// what JSON cannot hold (NaN, infinities) is an error.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return escape(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

// escape writes all characters of a JSON text beyond ASCII, which can only stand in its strings, as \uXXXX.
func escape(text []byte) []byte {
	first := bytes.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
	if first < 0 {
		return text
	}
	out := make([]byte, first, len(text)+len(text)/4)
	copy(out, text)
	for rest := text[first:]; len(rest) > 0; {
		if rest[0] < utf8.RuneSelf {
			out = append(out, rest[0])
			rest = rest[1:]
			continue
		}
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if r > 0xFFFF {
			high, low := utf16.EncodeRune(r)
			out = appendUnit(appendUnit(out, high), low)
			continue
		}
		out = appendUnit(out, r)
	}
	return out
}

// appendUnit appends one UTF-16 code unit.
func appendUnit(out []byte, unit rune) []byte {
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', hex[unit>>12&0xF], hex[unit>>8&0xF], hex[unit>>4&0xF], hex[unit&0xF])
}
