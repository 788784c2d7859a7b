package supervisor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// zmtpPeer returns a connection whose handshake is over, and its other end.
func zmtpPeer(t *testing.T) (z *zmtpConn, peer net.Conn) {
	t.Helper()
	own, peer := net.Pipe()
	t.Cleanup(func() { _ = own.Close(); _ = peer.Close() })
	greeting := append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1}, make([]byte, zmtpGreeting-12)...)
	greeted := make(chan []byte, 1)
	go func() {
		theirs := make([]byte, zmtpGreeting+2)
		_, _ = io.ReadFull(peer, theirs)
		_, _ = io.CopyN(io.Discard, peer, int64(theirs[zmtpGreeting+1]))
		_, _ = peer.Write(append(greeting, zmtpCommand, 6, 5, 'R', 'E', 'A', 'D', 'Y'))
		greeted <- theirs
	}()
	z, err := openZMTP(own, zmtpDealer, "me")
	require.NoError(t, err)
	require.Equal(t, "NULL", string(bytes.TrimRight((<-greeted)[12:32], "\x00")))
	return z, peer
}

// frame returns a frame of a message.
func frame(flags byte, content []byte) []byte {
	if len(content) <= zmtpShort {
		return append([]byte{flags, byte(len(content))}, content...)
	}
	return append(binary.BigEndian.AppendUint64([]byte{flags | zmtpLong}, uint64(len(content))), content...)
}

// framed returns a message.
func framed(parts ...[]byte) (message []byte) {
	for i, part := range parts {
		flags := byte(zmtpMore)
		if i == len(parts)-1 {
			flags = 0
		}
		message = append(message, frame(flags, part)...)
	}
	return message
}

func TestZMTPHandshake(t *testing.T) {
	for _, tt := range []struct{ name, greeting, fault string }{
		{"another protocol", strings.Repeat("HTTP", zmtpGreeting/4), "which is not ZMTP 3"},
		{"end", "\xff", "unexpected EOF"},
		{"message in place of a command", "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03" + strings.Repeat("\x00", 53) + "\x00\x05READY", "no command"},
		{
			"command longer than there is room for",
			"\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03" + strings.Repeat("\x00", 53) + "\x06\xff\xff\xff\xff\xff\xff\xff\xff",
			"more bytes than there are",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own, peer := net.Pipe()
			defer own.Close()
			go func() {
				_, _ = io.CopyN(io.Discard, peer, zmtpGreeting)
				go func() { _, _ = io.Copy(io.Discard, peer) }()
				_, _ = io.WriteString(peer, tt.greeting)
				_ = peer.Close()
			}()
			_, err := openZMTP(own, zmtpSub, "me")
			require.ErrorContains(t, err, tt.fault)
		})
	}
}

func TestJupyterReceive(t *testing.T) {
	signer := jupyterSigner{key: "key", session: "s"}
	header := jupyterHeader{ID: "parent"}
	proper, err := signer.message("stream", "id", header, map[string]string{"text": "x"})
	require.NoError(t, err)
	forged, err := jupyterSigner{key: "other"}.message("stream", "id", header, struct{}{})
	require.NoError(t, err)
	long, err := signer.message("stream", "id", header, map[string]string{"text": strings.Repeat("x", maxContent)})
	require.NoError(t, err)

	z, peer := zmtpPeer(t)
	go func() {
		for _, bytes := range [][]byte{
			frame(zmtpCommand, []byte("\x04PING")), framed(append([][]byte{[]byte("topic")}, proper...)...),
			framed(append(proper, []byte("buffer"), make([]byte, 1<<20))...), framed(forged...), framed(proper[:4]...),
			framed(long...), framed([]byte("no delimiter")),
			{zmtpLong, 0xff, 0, 0, 0, 0, 0, 0, 0},
		} {
			_, _ = peer.Write(bytes)
		}
	}()
	for range 2 {
		msg, err := signer.receive(z)
		require.NoError(t, err)
		require.False(t, msg.forged)
		require.Equal(t, "stream", msg.kind)
		require.Equal(t, "parent", msg.parent)
		require.JSONEq(t, `{"text":"x"}`, string(msg.content.head))
	}
	for range 2 {
		msg, err := signer.receive(z)
		require.NoError(t, err)
		require.True(t, msg.forged)
	}
	msg, err := signer.receive(z)
	require.NoError(t, err)
	require.False(t, msg.forged, "the signature is of all that came")
	require.False(t, msg.content.whole())
	require.Len(t, msg.content.head, sketchSize)
	require.Len(t, msg.content.tail, sketchSize)
	msg, err = signer.receive(z)
	require.NoError(t, err)
	require.True(t, msg.forged)
	_, err = signer.receive(z)
	require.ErrorContains(t, err, "more bytes than there are")
}

func TestZMTPSend(t *testing.T) {
	z, peer := zmtpPeer(t)
	parts := [][]byte{[]byte("short"), bytes.Repeat([]byte("x"), 300), nil}
	go func() { _ = z.send(parts) }()
	want := framed(parts...)
	got := make([]byte, len(want))
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// longContent returns what is kept of a content that is too long, which is a text between two others.
func longContent(before, after string) zmtpPart {
	text := []byte(before + strings.Repeat(`é\n`, sketchSize) + after)
	return zmtpPart{head: text[:sketchSize], tail: text[len(text)-sketchSize:], size: int64(len(text))}
}

func TestJupyterContent(t *testing.T) {
	t.Run("long result becomes a note", func(t *testing.T) {
		msg := jupyterMessage{kind: jupyterDisplay, content: longContent(`{"data":{"image/png":"`, `"}}`)}
		got, ok := msg.read()
		require.True(t, ok)
		require.Contains(t, string(got.Data["text/plain"]), "[image/png of ")
	})
	t.Run("long error loses its middle", func(t *testing.T) {
		msg := jupyterMessage{kind: jupyterError, content: longContent(`{"ename":"E","evalue":"`, `","traceback":["t"]}`)}
		got, ok := msg.read()
		require.True(t, ok)
		require.Equal(t, "E", got.Ename)
		require.True(t, strings.HasPrefix(got.Evalue, "é\né\n"))
		require.Contains(t, got.Evalue, " bytes left out]\n")
		require.Equal(t, fewTexts{"t"}, got.Traceback)
	})
	t.Run("error of two long texts keeps the beginning", func(t *testing.T) {
		middle := `","traceback":["` + strings.Repeat("t", 3*sketchSize)
		for _, kind := range []string{jupyterError, jupyterExecuteReply} {
			msg := jupyterMessage{kind: kind, content: longContent(`{"status":"error","ename":"E","evalue":"`, middle+`"]}`)}
			got, ok := msg.read()
			require.True(t, ok)
			require.Equal(t, []string{"error", "E"}, []string{got.Status, got.Ename})
			require.True(t, strings.HasPrefix(got.Evalue, "é\né\n"))
			require.Contains(t, got.Evalue, " bytes left out]\n")
			if kind == jupyterError {
				require.Equal(t, fewTexts{"E: " + got.Evalue}, got.Traceback)
			}
		}
	})
	t.Run("long text loses its middle", func(t *testing.T) {
		msg := jupyterMessage{kind: jupyterStream, content: longContent(`{"text":"`, `","name":"stderr"}`)}
		got, ok := msg.read()
		require.True(t, ok)
		require.Equal(t, "stderr", got.Name)
		require.Contains(t, got.Text, " bytes left out]\n")
	})
	t.Run("other long messages have nothing to tell", func(t *testing.T) {
		msg := jupyterMessage{kind: jupyterStatus, content: longContent(`{"x":"`, `"}`)}
		_, ok := msg.read()
		require.False(t, ok)
	})
	t.Run("result of too many types becomes a note", func(t *testing.T) {
		data := map[string]string{}
		for i := range maxTypes + 1 {
			data[strings.Repeat("x", i+1)] = ""
		}
		text, err := json.Marshal(map[string]any{"data": data})
		require.NoError(t, err)
		msg := jupyterMessage{kind: jupyterResult, content: zmtpPart{head: text, size: int64(len(text))}}
		got, ok := msg.read()
		require.True(t, ok)
		require.Contains(t, string(got.Data["text/plain"]), "more than 64 MIME types")
	})
}

func TestJupyterLists(t *testing.T) {
	for text, want := range map[string]int{
		`null`: 0, `[]`: 0, `["a","b"]`: 2, "[" + strings.Repeat(`"",`, 1<<20) + `""]`: maxElements,
	} {
		var texts fewTexts
		require.NoError(t, json.Unmarshal([]byte(text), &texts))
		require.Len(t, texts, want)
	}
	for _, text := range []string{`{}`, `"a"`, `[1]`} {
		require.Error(t, json.Unmarshal([]byte(text), &fewTexts{}), text)
	}
}
