//go:build integration

package abusetest

import (
	"bufio"
	"crypto/sha3"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestStreamsAreComplete: a reader that reads gets every byte, whoever wrote it, in order. Each byte that is no UTF-8
// becomes U+FFFD. The program is the one without the race detector, which would make of seconds minutes.
func TestStreamsAreComplete(t *testing.T) {
	usePlainProgram(t)
	a := newArena(t, startServer(t))
	noise := make([]byte, 1<<20)
	_, _ = sha3.NewSHAKE128().Read(noise)
	noisy := sum{}.add(text(string(noise)))
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	for _, c := range []struct {
		name, code     string
		stdout, stderr sum
	}{
		{"B1 50 MB of a shell's lines", "!yes | head -c 50M", repeated("y\n", 25<<20), sum{}},
		{"B2 a line of 20 MB", "print('x' * 20_000_000)", repeated("x", 20_000_000).add("\n"), sum{}},
		{"B2 a line of 100 MB without an end", "import sys\nsys.stdout.write('x' * 10**8)\nNone", repeated("x", 100_000_000), sum{}},
		{
			"B3 two threads, 20 MB to each stream", `import os, threading
def write(fd, text):
    for i in range(2000): os.write(fd, text * 10_000)
threads = [threading.Thread(target=write, args=args) for args in ((1, b'a'), (2, b'b'))]
for t in threads: t.start()
for t in threads: t.join()`, repeated("a", 20_000_000), repeated("b", 20_000_000),
		},
		{"B4 every byte there is", "import os\nos.write(1, bytes(range(256)) * 4000)\nNone", repeated(text(string(everyByte)), 4000), sum{}},
		{"B4 noise of a shell", `import hashlib, os
open('noise', 'wb').write(hashlib.shake_128().digest(1 << 20))
os.system('cat noise; cat noise >&2; rm noise')
None`, noisy, noisy},
		{"B5 a character split over two writes", "import os, time\nos.write(1, b'\\xe2\\x82'); time.sleep(1); os.write(1, b'\\xac')\nNone", sum{}.add("€"), sum{}},
		{"B5 a character of which only the beginning comes", "import os\nos.write(1, b'a\\xe2\\x82')\nNone", sum{}.add(text("a\xe2\x82")), sum{}},
		{"B29 C that holds the interpreter's lock", "import ctypes\nctypes.PyDLL(None).printf(b'1' * 100_000)\nNone", repeated("1", 100_000), sum{}},
		{"B29 ten million bytes through os.system", "import os\nos.system('yes | head -c 10M')\nNone", repeated("y\n", 5<<20), sum{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := a.watch(t)
			st, stdout, stderr := a.complete(t, c.code, c.stdout.bytes+c.stderr.bytes)
			require.Equal(t, "ok", st.got.ending, "%+v", st.got)
			require.Equal(t, c.stdout, stdout)
			require.Equal(t, c.stderr, stderr)
			a.settle(t, st.got)
			stop()
		})
	}
}

// TestGarbageBecomesText: what is no UTF-8 becomes U+FFFD, byte by byte, and the rest stays what it was.
func TestGarbageBecomesText(t *testing.T) {
	a := newArena(t, startServer(t))
	for name, garbage := range map[string]string{
		"B4 a lone continuation":   "a\x80b",
		"B4 a byte of no encoding": "a\xffb",
		"B4 a surrogate":           "a\xed\xa0\x80b",
		"B4 an overlong slash":     "a\xc0\xafb",
		"B4 a character cut short": "a\xe2\x82b",
		"B4 beyond Unicode":        "a\xf4\x90\x80\x80b",
		"B4 NUL and controls":      "a\x00\x1b[2J\x07\r\n\x7fb",
		"B4 the last of all":       "a\U0010FFFF\uFFFDb",
	} {
		t.Run(name, func(t *testing.T) {
			got := a.attack(t, "import os\ngarbage = bytes("+list(garbage)+")\nos.write(1, garbage); os.write(2, garbage)\nNone")
			require.Equal(t, "ok", got.ending)
			require.Equal(t, text(garbage), got.stdout)
			require.Equal(t, text(garbage), got.stderr)
		})
	}
}

// TestB1InfiniteOutput: output without end ends with the deadline, is in order up to there, and nothing of it is missing.
func TestB1InfiniteOutput(t *testing.T) {
	a := newArena(t, startServer(t))
	for name, code := range map[string]string{
		"Python": "import itertools\nfor i in itertools.count(): print(i)",
		"shell":  "import os\nos.system('i=0; while :; do echo $i; i=$((i+1)); done')",
	} {
		t.Run(name, func(t *testing.T) {
			stop := a.watch(t)
			st := a.begin(t, a.attacked, code, wire.Execute{TimeoutMS: 2000})
			lines := countLines(t, st)
			require.Equal(t, "timeout", st.got.ending)
			require.Equal(t, "preserved", st.got.state)
			require.Equal(t, "TimeoutError", st.got.errName)
			require.Zero(t, st.got.gaps)
			require.Greater(t, lines, 100)
			a.settle(t, st.got)
			stop()
			if name == "Python" {
				require.Contains(t, []string{strconv.Itoa(lines - 1), strconv.Itoa(lines)}, a.run(t, a.attacked, "i").text, "all that was printed has come")
			}
		})
	}
}

// TestB7Injection: text that looks like the protocol stays text, on the very socket.
func TestB7Injection(t *testing.T) {
	a := newArena(t, startServer(t))
	for name, text := range map[string]string{
		"an end of server-sent events": "\n\ndata: {\"type\":\"end\"}\n\n",
		"a line of ours":               "\n{\"type\":\"end_of_execution\",\"ending\":\"ok\"}\n",
		"the end of a chunked answer":  "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"separators that are lines":    "a\u0085b\u2028c\u2029d\ve\ff\x1cg",
		"quotes and backslashes":       `"}\n{\"type\": \u0022`,
	} {
		t.Run(name, func(t *testing.T) {
			lines := rawExecute(t, a.server, a.attacked, "import sys\nsys.stdout.write(bytes("+list(text)+").decode())\nNone")
			var stdout strings.Builder
			ends := 0
			for i, line := range lines {
				require.NotContains(t, line, "\r")
				var fields struct{ Type, Text string }
				require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
				switch fields.Type {
				case "stdout":
					stdout.WriteString(fields.Text)
				case "end_of_execution":
					ends++
					require.Equal(t, len(lines)-1, i, "the end is the last line")
				case "result", "error":
					require.Fail(t, "nobody sent this", line)
				}
			}
			require.Equal(t, text, stdout.String())
			require.Equal(t, 1, ends)
			require.Equal(t, "42", a.run(t, a.attacked, "x + 1").text)
		})
	}
}

// rawExecute executes code over a socket of its own and returns the lines of the answer, which has to be the only thing
// that comes.
func rawExecute(t *testing.T, s *server, id, code string) []string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	body := asJSON(request(id, code))
	_, err = fmt.Fprintf(conn, "POST /execute HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		s.address, len(body), body)
	require.NoError(t, err)
	incoming := bufio.NewReader(conn)
	answer, err := http.ReadResponse(incoming, nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, []string{"chunked"}, answer.TransferEncoding)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	rest, err := io.ReadAll(incoming)
	require.NoError(t, err)
	require.Empty(t, string(rest), "after the answer")
	require.True(t, strings.HasSuffix(string(text), "\n"))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// list writes bytes as Python writes a list of numbers.
func list(text string) string {
	numbers := make([]string, len(text))
	for i := range len(text) {
		numbers[i] = fmt.Sprint(text[i])
	}
	return "[" + strings.Join(numbers, ",") + "]"
}
