package supervisor

import (
	"strings"
	"unicode/utf8"

	"cubby/orchestrator/kernel"
)

// decoder turns the bytes of one stream into texts of at most kernel.MaxText bytes, cut between characters. A
// character that is cut in two by a read is held back until the rest of it comes. Bytes that are no UTF-8 become
// U+FFFD, one each.
type decoder struct {
	tail []byte // the beginning of a character, at most three bytes
}

// decode calls emit for each text that the bytes complete.
func (d *decoder) decode(chunk []byte, emit func(text string)) {
	if len(d.tail) > 0 {
		chunk = append(d.tail, chunk...)
		d.tail = nil
	}
	whole := len(chunk) - incomplete(chunk)
	d.tail = append(d.tail, chunk[whole:]...)
	emitText(chunk[:whole], emit)
}

// flush gives up waiting for the rest of a character.
func (d *decoder) flush(emit func(text string)) {
	tail := d.tail
	d.tail = nil
	emitText(tail, emit)
}

// emitText calls emit for each piece of the bytes.
func emitText(chunk []byte, emit func(text string)) {
	for len(chunk) > 0 {
		piece := chunk
		if len(chunk) > kernel.MaxText {
			piece = chunk[:kernel.MaxText]
			piece = piece[:len(piece)-incomplete(piece)]
		}
		chunk = chunk[len(piece):]
		if utf8.Valid(piece) {
			emit(string(piece))
		} else {
			emitRepaired(piece, emit)
		}
	}
}

// emitRepaired calls emit for each piece of bytes that are not all UTF-8.
func emitRepaired(chunk []byte, emit func(text string)) {
	var text strings.Builder
	for len(chunk) > 0 {
		r, size := utf8.DecodeRune(chunk)
		if text.Len()+utf8.RuneLen(r) > kernel.MaxText {
			emit(text.String())
			text.Reset()
		}
		text.WriteRune(r)
		chunk = chunk[size:]
	}
	emit(text.String())
}

// incomplete returns how many bytes at the end of the chunk begin a character that more bytes could complete.
func incomplete(chunk []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(chunk); n++ {
		b := chunk[len(chunk)-n]
		if !utf8.RuneStart(b) {
			continue
		}
		if utf8.FullRune(chunk[len(chunk)-n:]) {
			return 0
		}
		return n
	}
	return 0
}
