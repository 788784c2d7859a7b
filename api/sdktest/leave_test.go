//go:build integration

package sdktest

import (
	"bufio"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client that says when it begins to create a context, and then the context's id.
const (
	creatingJS = `import { Sandbox } from '@e2b/code-interpreter'
const sandbox = await Sandbox.create()
console.log('begin')
console.log((await sandbox.createCodeContext(OPTIONS)).id)`
	creatingPython = `from e2b_code_interpreter import Sandbox
sandbox = Sandbox.create()
print("begin")
print(sandbox.create_code_context().id)`
)

// TestLeavingClients: whatever moment of a create a client leaves at, nothing of it remains 10 s later.
func TestLeavingClients(t *testing.T) {
	dir, interpreter := javaScript(t), python(t)
	s := startServer(t, freeAddress(t, "127.0.0.1:0"))
	node := func(options string) []string {
		return []string{"node", "--input-type=module", "--eval", strings.ReplaceAll(creatingJS, "OPTIONS", options)}
	}
	never := time.Duration(-1)
	for _, c := range []struct {
		name   string
		killed time.Duration // after the create has begun
		client []string
	}{
		{"a request timeout of 1 ms", never, node("{ requestTimeoutMs: 1 }")},
		{"a request timeout of 200 ms", never, node("{ requestTimeoutMs: 200 }")},
		{"node, killed at once", 0, node("{}")},
		{"node, killed after 100 ms", 100 * time.Millisecond, node("{}")},
		{"node, killed after 300 ms", 300 * time.Millisecond, node("{}")},
		{"Python, killed after 50 ms", 50 * time.Millisecond, []string{interpreter, "-c", creatingPython}},
		{"Python, killed after 200 ms", 200 * time.Millisecond, []string{interpreter, "-c", creatingPython}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if id := leave(t, s, dir, c.client, c.killed); id != "" {
				t.Log("the create was faster")
				s.remove(t, id)
			}
		})
	}
	require.Eventually(t, func() bool {
		return len(s.contexts(t)) == 0 && len(s.onEngine(t.Context(), t)) == 0
	}, 10*time.Second, 200*time.Millisecond, "something of the creates is left")
}

// leave runs a client, kills it some time after its create has begun, unless that is negative, and returns the id of the
// context that it told of nevertheless.
func leave(t *testing.T, s *server, dir string, client []string, killed time.Duration) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), client[0], client[1:]...)
	cmd.Dir = dir
	cmd.Env = debugMode(s.url)
	cmd.WaitDelay = time.Second
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
	var id string
	if lines.Scan() {
		id = lines.Text()
	}
	err = cmd.Wait()
	if id == "" {
		require.Error(t, err, "a client that has no context must have been cut off")
	}
	return id
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
