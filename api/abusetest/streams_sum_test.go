//go:build integration

package abusetest

import (
	"encoding/json"
	"errors"
	"hash/crc64"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// sum is the length and the checksum of a text of which nobody keeps a copy.
type sum struct {
	bytes int64
	crc   uint64
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// add returns the sum with more text.
func (s sum) add(text string) sum {
	return sum{s.bytes + int64(len(text)), crc64.Update(s.crc, crcTable, []byte(text))}
}

// repeated is the sum of a text repeated.
func repeated(text string, times int) sum {
	step := min(times, max(1, 64<<10/len(text)))
	chunk, s := strings.Repeat(text, step), sum{}
	for range times / step {
		s = s.add(chunk)
	}
	return s.add(strings.Repeat(text, times%step))
}

// text is what bytes become: each that is no UTF-8 is replaced by U+FFFD.
func text(bytes string) string { return string([]rune(bytes)) }

// each reads the stream to its end and hands over its output, of which the outcome keeps nothing.
func (st *stream) each(t *testing.T, output func(wire.Output)) {
	t.Helper()
	defer time.AfterFunc(patience, st.leave).Stop()
	for {
		text, err := st.body.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			break
		}
		require.NoError(t, err, "so far: %+v", st.got)
		var out wire.Output
		require.NoError(t, json.Unmarshal(text, &out))
		if out.Type == wire.TypeStdout || out.Type == wire.TypeStderr {
			output(out)
			continue
		}
		line, err := wire.ParseLine(text)
		require.NoError(t, err)
		st.got.add(line)
	}
	st.got.took = time.Since(st.began)
	require.Equal(t, 1, st.got.ends, "ends that were told: %+v", st.got)
	require.LessOrEqual(t, st.got.errors, 1, "errors that were told: %+v", st.got)
}

// sums reads the stream to its end.
func (st *stream) sums(t *testing.T) (stdout, stderr sum) {
	t.Helper()
	st.each(t, func(out wire.Output) {
		require.True(t, utf8.ValidString(out.Text))
		if out.Type == wire.TypeStdout {
			stdout = stdout.add(out.Text)
		} else {
			stderr = stderr.add(out.Text)
		}
	})
	return stdout, stderr
}

// complete executes code until its output has come without a gap, which it does at once unless the machine keeps this
// reader from reading for a whole second: then output is dropped for the code's sake. What is dropped is always told.
func (a *arena) complete(t *testing.T, code string, size int64) (st *stream, stdout, stderr sum) {
	t.Helper()
	for range 5 {
		st = a.begin(t, a.attacked, code)
		stdout, stderr = st.sums(t)
		require.Equal(t, size, stdout.bytes+stderr.bytes+st.got.missing, "read and missing")
		if st.got.gaps == 0 {
			return st, stdout, stderr
		}
		t.Logf("%d bytes are missing", st.got.missing)
	}
	require.Fail(t, "never complete")
	return st, stdout, stderr
}

// countLines reads a stream of the lines 0, 1, 2, … to its end, and returns how many there are. The last may be cut.
func countLines(t *testing.T, st *stream) int {
	t.Helper()
	next, rest := 0, ""
	st.each(t, func(out wire.Output) {
		if out.Type != wire.TypeStdout {
			return
		}
		lines := strings.Split(rest+out.Text, "\n")
		rest = lines[len(lines)-1]
		for _, line := range lines[:len(lines)-1] {
			if line != strconv.Itoa(next) {
				require.Equal(t, strconv.Itoa(next), line)
			}
			next++
		}
	})
	require.True(t, strings.HasPrefix(strconv.Itoa(next), rest), "the last line, %q, is no beginning of %d", rest, next)
	return next
}
