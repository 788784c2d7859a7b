//go:build integration

package sdktest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client that says when it begins to create a context, and when it has one.
const (
	creatingJS = `import { Sandbox } from '@e2b/code-interpreter'
const sandbox = await Sandbox.create()
console.log('begin')
await sandbox.createCodeContext(OPTIONS)
console.log('end')`
	creatingPython = `from e2b_code_interpreter import Sandbox
sandbox = Sandbox.create()
print("begin")
sandbox.create_code_context()
print("end")`
)

// TestLeavingClients: whatever moment of a create a client leaves at, nothing of it remains 10 s later.
func TestLeavingClients(t *testing.T) {
	dir, interpreter := javaScript(t), python(t)
	s := startServer(t, freeAddress(t, "127.0.0.1:0"))
	node := func(options string) []string {
		return []string{"node", "--input-type=module", "--eval", strings.ReplaceAll(creatingJS, "OPTIONS", options)}
	}
	const never = time.Duration(-1)
	abandoned := 0
	for _, c := range []struct {
		name   string
		killed time.Duration // after the create has begun
		client []string
	}{
		{"a request timeout of 1 ms", never, node("{ requestTimeoutMs: 1 }")},
		{"a request timeout of 100 ms", never, node("{ requestTimeoutMs: 100 }")},
		{"node, killed after 20 ms", 20 * time.Millisecond, node("{}")},
		{"node, killed after 100 ms", 100 * time.Millisecond, node("{}")},
		{"node, killed after 300 ms", 300 * time.Millisecond, node("{}")},
		{"Python, killed after 50 ms", 50 * time.Millisecond, []string{interpreter, "-c", creatingPython}},
		{"Python, killed after 200 ms", 200 * time.Millisecond, []string{interpreter, "-c", creatingPython}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWitness(t, s)
			leave(t, w.URL, dir, c.client, c.killed)
			begun, answered := w.saw()
			abandoned += begun - len(answered)
			for _, id := range answered {
				t.Log("the create was faster")
				s.remove(t, id)
			}
		})
	}
	require.Positive(t, abandoned, "no client left in the middle of a create")
	require.Eventually(t, func() bool {
		return len(s.contexts(t)) == 0 && len(s.onEngine(t.Context(), t)) == 0
	}, 10*time.Second, 500*time.Millisecond, "something of the creates is left")
}

// leave runs a client, and kills it some time after its create has begun, unless that is negative.
func leave(t *testing.T, address, dir string, client []string, killed time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), client[0], client[1:]...)
	cmd.Dir = dir
	cmd.Env = debugMode(address)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the client did not begin")
	require.Equal(t, "begin", lines.Text())
	if killed >= 0 {
		time.Sleep(killed)
		require.NoError(t, cmd.Process.Kill())
	}
	ended := lines.Scan() && lines.Text() == "end"
	if err := cmd.Wait(); !ended {
		require.Error(t, err, "a client without a context was cut off")
	}
}

// witness stands between a client and the server and sees which creates the server answered before the client left:
// those contexts have an owner, if a dead one.
type witness struct {
	*httptest.Server
	mu       sync.Mutex
	begun    int
	answered []string
}

func newWitness(t *testing.T, s *server) *witness {
	t.Helper()
	target, err := url.Parse(s.url)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {} // the client has left
	w := &witness{}
	proxy.ModifyResponse = w.see
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.begun++
		w.mu.Unlock()
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

// see notes the context of an answer.
func (w *witness) see(response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var created struct{ ID string }
	if err := json.Unmarshal(body, &created); err != nil {
		return fmt.Errorf("parse the answer %q: %w", body, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = append(w.answered, created.ID)
	return nil
}

// saw returns how many creates were begun, and the contexts of those that were answered, once none is under way.
func (w *witness) saw() (begun int, answered []string) {
	w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun, w.answered
}

// remove removes a context as the SDKs do.
func (s *server) remove(t *testing.T, id string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+"/contexts/"+id, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
