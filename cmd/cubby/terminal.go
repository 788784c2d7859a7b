package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible returns w, behind a filter where it is a terminal: what user code prints must not move the cursor, set the
// clipboard or answer for the user.
func visible(w io.Writer, terminal bool) io.Writer {
	if !terminal {
		return w
	}
	return &controlFilter{w: w}
}

// console returns a console on the program's outputs.
func (a *app) console(raw bool) *console {
	return &console{
		out: visible(a.stdout, a.stdoutTerminal && !raw),
		err: visible(a.stderr, a.stderrTerminal && !raw),
	}
}

// logger returns the program's log, on stderr.
func (a *app) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: a.config.LogLevel}
	return slog.New(slog.NewTextHandler(visible(a.stderr, a.stderrTerminal), options))
}

// controlFilter writes control characters as visible text: ESC becomes ^[, a C1 control \x9b, and one that turns the
// direction of writing, which makes text look like other text, \u202e. Newlines, tabs and
// carriage returns, which progress bars need, pass. It is not safe for concurrent use.
type controlFilter struct {
	w    io.Writer
	rest []byte // the beginning of a character whose end has not been written yet
}

// Write implements io.Writer.
func (f *controlFilter) Write(p []byte) (int, error) {
	text := slices.Concat(f.rest, p)
	f.rest = nil
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 && !utf8.FullRune(text) {
			f.rest = append(f.rest, text...)
			break
		}
		writeVisible(&out, r)
		text = text[size:]
	}
	if _, err := io.WriteString(f.w, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// writeVisible writes a character, a control character as text.
func writeVisible(out *strings.Builder, r rune) {
	const hex = "0123456789abcdef"
	switch {
	case r == '\n', r == '\t', r == '\r':
		out.WriteRune(r)
	case r < ' ', r == 0x7f:
		out.WriteByte('^')
		out.WriteRune(r ^ 0x40)
	case r >= 0x80 && r < 0xa0:
		out.WriteString(`\x`)
		out.WriteByte(hex[r>>4])
		out.WriteByte(hex[r&0xf])
	case unicode.Is(unicode.Bidi_Control, r):
		fmt.Fprintf(out, `\u%04x`, r)
	default:
		out.WriteRune(r)
	}
}
