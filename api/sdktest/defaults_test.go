//go:build integration

package sdktest

import (
	"context"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// listingJS lists the contexts of a fresh server, and runs code in the default context of each language.
const listingJS = `import { Sandbox } from '@e2b/code-interpreter'
const sandbox = await Sandbox.create()
const contexts = await sandbox.listCodeContexts()
console.log(contexts.map(({ language, cwd }) => language + ' in ' + cwd).join(', '))
for (const context of contexts) {
  await sandbox.runCode('answer = 42', { context })
  console.log((await sandbox.runCode('answer', { language: context.language })).text)
}
console.log((await sandbox.listCodeContexts()).length)`

// TestDefaultContexts: as on E2B, the default contexts of Python and JavaScript are listed before anybody has used them.
func TestDefaultContexts(t *testing.T) {
	dir := javaScript(t)
	s := startServer(t, freeAddress(t, "127.0.0.1:0"), "CUBBY_DEFAULT_CONTEXTS=python,javascript")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--input-type=module", "--eval", listingJS)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, debugMode(s.url), t.Output()
	output, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "python in /home/user, javascript in /home/user\n42\n42\n2\n", string(output))
}
