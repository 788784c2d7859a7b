package main

import (
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestVisible(t *testing.T) {
	hostile := "a\x1b]52;c;ZWNobw==\a\x1b[2J\x00\r\n\tü€😀\u009b31m\u007f\b\u202eb\u2066\u200f"
	shown := "a^[]52;c;ZWNobw==^G^[[2J^@\r\n\tü€😀\\x9b31m^?^H\\u202eb\\u2066\\u200f"

	t.Run("a terminal gets control characters as text", func(t *testing.T) {
		var out bytes.Buffer
		n, err := visible(&out, true).Write([]byte(hostile))
		require.NoError(t, err)
		require.Equal(t, len(hostile), n)
		require.Equal(t, shown, out.String())
	})
	t.Run("a character cut by writes comes out whole", func(t *testing.T) {
		var out bytes.Buffer
		w := visible(&out, true)
		for _, b := range []byte(hostile) {
			_, err := w.Write([]byte{b})
			require.NoError(t, err)
		}
		require.Equal(t, shown, out.String())
	})
	t.Run("bytes that are no UTF-8 do not reach a terminal", func(t *testing.T) {
		var out bytes.Buffer
		_, err := visible(&out, true).Write([]byte("a\x9b31m"))
		require.NoError(t, err)
		require.Equal(t, "a\ufffd31m", out.String())
	})
	t.Run("a pipe gets everything as it is", func(t *testing.T) {
		var out bytes.Buffer
		_, err := visible(&out, false).Write([]byte(hostile))
		require.NoError(t, err)
		require.Equal(t, hostile, out.String())
	})
	t.Run("an error of the terminal is reported", func(t *testing.T) {
		_, err := visible(failingWriter{}, true).Write([]byte("a"))
		require.ErrorIs(t, err, iotest.ErrTimeout)
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, iotest.ErrTimeout }
