//go:build integration

package abusetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// memoryGrowth is what the server may take for readers that do not read.
const memoryGrowth = 32 << 20

// TestB23SlowReader: two clients take a byte a second. The code that the one runs is not slowed, and what it lost is told
// to the byte; the other, whose code never ends, is cut off and its code interrupted. The server's memory hardly grows.
func TestB23SlowReader(t *testing.T) {
	usePlainProgram(t)
	a := newArena(t, startServer(t))
	endless := a.create(t)
	require.Equal(t, "ok", a.run(t, endless, "x = 41").ending)
	stop := a.watch(t)
	growth := watchMemory(t, a.pid())

	infinite := newTrickle(t, a.server, endless, "while True: print('y' * 1000)")
	finite := newTrickle(t, a.server, a.attacked, "import sys\nfor i in range(50): sys.stdout.write('x' * 10**6)\nopen('/home/user/finished', 'w').close()")
	finished := filepath.Join(procFile(a.box.pid, "root"), "home/user/finished")
	require.Eventually(t, func() bool { _, err := os.Stat(finished); return err == nil }, patience, probeEvery,
		"the code waits for its reader")
	require.Less(t, finite.taken(), int64(1000), "the reader was to be slow")

	st := &stream{body: bufio.NewReader(finite.hurry(t)), leave: finite.leave, began: time.Now()}
	stdout, _ := st.sums(t)
	require.Equal(t, "ok", st.got.ending)
	require.Positive(t, st.got.gaps, "the control: there was more than buffers hold")
	require.Equal(t, int64(50_000_000), stdout.bytes+st.got.missing, "read and missing")
	a.settle(t, st.got)

	lines := bufio.NewReader(infinite.untilCut(t))
	for read := 0; ; {
		line, err := lines.ReadString('\n')
		read += len(line)
		require.Less(t, read, 64<<20, "the stream was not cut")
		require.NotContains(t, line, string(wire.TypeEndOfExecution), "a stream that was cut has no end")
		if err != nil {
			break
		}
	}
	require.Equal(t, "42", a.run(t, endless, "x + 1").text, "the code was interrupted, its context is intact")
	stop()
	require.Less(t, growth(), int64(memoryGrowth))
}

// TestB23SteadyReader: a client that takes a megabyte a second reads, if slowly, and gets all.
func TestB23SteadyReader(t *testing.T) {
	usePlainProgram(t)
	a := newArena(t, startServer(t))
	for range 3 { // as in complete; more than all buffers hold together
		st := a.begin(t, a.attacked, "import sys\nfor i in range(25): sys.stdout.write('x' * 10**6)\nNone")
		st.body = bufio.NewReader(pace{st.body})
		stdout, _ := st.sums(t)
		require.Equal(t, int64(25_000_000), stdout.bytes+st.got.missing)
		if st.got.gaps == 0 {
			a.settle(t, st.got)
			return
		}
		t.Logf("%d bytes are missing", st.got.missing)
	}
	require.Fail(t, "never complete")
}

// pace reads a megabyte a second, and never much at once.
type pace struct{ io.Reader }

func (p pace) Read(into []byte) (int, error) {
	n, err := p.Reader.Read(into)
	time.Sleep(time.Duration(n) * time.Microsecond)
	return n, err
}

// trickle is a client that reads the answer to an execute slowly.
type trickle struct {
	conn    net.Conn
	answer  *http.Response
	slow    sync.WaitGroup
	faster  chan struct{}
	mu      sync.Mutex
	read    int64
	failure error // of the slow reading: the stream was cut
}

// newTrickle executes code over a connection that takes little at once, and begins to read a byte a second.
func newTrickle(t *testing.T, s *server, id, code string) *trickle {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		return errors.Join(raw.Control(func(fd uintptr) {
			set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}), set)
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.address)
	require.NoError(t, err)
	c := &trickle{conn: conn, faster: make(chan struct{})}
	t.Cleanup(c.leave)
	body := asJSON(request(id, code))
	_, err = fmt.Fprintf(conn, "POST /execute HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		s.address, len(body), body)
	require.NoError(t, err)
	c.answer, err = http.ReadResponse(bufio.NewReaderSize(conn, 16), nil) //nolint:bodyclose // leave ends it
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, c.answer.StatusCode)
	c.slow.Go(c.dawdle)
	return c
}

// dawdle reads a byte a second until it is told to hurry or the stream fails.
func (c *trickle) dawdle() {
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	for one := make([]byte, 1); ; {
		n, err := c.answer.Body.Read(one)
		c.mu.Lock()
		c.read += int64(n)
		c.failure = err
		c.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case <-pace.C:
		case <-c.faster:
			return
		}
	}
}

func (c *trickle) leave() { _ = c.conn.Close() }

// taken is how many bytes of the answer were read slowly.
func (c *trickle) taken() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// hurry ends the dawdling and returns the answer from its first full line on.
func (c *trickle) hurry(t *testing.T) io.Reader {
	t.Helper()
	close(c.faster)
	c.slow.Wait()
	require.NoError(t, c.failure)
	rest := bufio.NewReader(c.answer.Body)
	_, err := rest.ReadString('\n') // of the first line, which says that the code has started
	require.NoError(t, err)
	return rest
}

// untilCut waits until the server has given the reader up, and returns what is left to read.
func (c *trickle) untilCut(t *testing.T) io.Reader {
	t.Helper()
	require.Eventually(t, func() bool { return !c.isOpen() }, patience, probeEvery, "the server goes on waiting")
	close(c.faster)
	c.slow.Wait()
	return c.answer.Body
}

// isOpen reports whether the server's side of the connection still is, without reading from it. Both ports have to fit:
// an earlier connection from the same port, to another server, may be listed for a minute.
func (c *trickle) isOpen() bool {
	port := func(addr net.Addr) string { return fmt.Sprintf(":%04X", addr.(*net.TCPAddr).Port) }
	server, client := port(c.conn.RemoteAddr()), port(c.conn.LocalAddr())
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(table)) {
		const established = "01"
		if f := strings.Fields(line); strings.HasSuffix(f[1], server) && strings.HasSuffix(f[2], client) {
			return f[3] == established
		}
	}
	return false
}

// watchMemory looks at the resident memory of a process; the returned function ends that and returns by how much it
// has grown at the most.
func watchMemory(t *testing.T, pid int) (growth func() int64) {
	t.Helper()
	before := residentMemory(t, pid)
	peak := before
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, residentMemory(t, pid))
			}
		}
	})
	end := sync.OnceFunc(func() { close(done); watching.Wait() })
	t.Cleanup(end)
	return func() int64 {
		end()
		t.Logf("memory of the server: %d KiB before, %d KiB at the most", before>>10, peak>>10)
		return peak - before
	}
}

// residentMemory is the resident memory of a process in bytes.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
