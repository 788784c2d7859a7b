//go:build integration

package sdktest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// example is a block of README.md under a comment <!-- run -->, and the block after it, which is its output. An ellipsis
// in the output stands for anything.
type example struct {
	language, code, output string
}

var exampleBlocks = regexp.MustCompile("(?s)<!-- run -->\n```(\\w+)\n(.*?)```\n.*?\n```text\n(.*?)```")

// debugAddress is where the SDKs' debug mode looks for the server.
const debugAddress = "127.0.0.1:49999"

// TestReadme runs the examples of README.md as they are written, against a server on the port that they name. Where that
// port is taken, another one is put in its place.
func TestReadme(t *testing.T) {
	examples := readExamples(t)
	require.Len(t, examples, 6, "curl twice, JavaScript, Python, and the CLI with and without a server")
	dir, interpreter := javaScript(t), python(t)
	address := freeAddress(t, debugAddress)
	s := startServer(t, address)
	for _, e := range examples {
		t.Run(e.language, func(t *testing.T) {
			root, err := filepath.Abs("../..")
			require.NoError(t, err)
			code := strings.ReplaceAll(e.code, debugAddress, address)
			var args []string
			switch e.language {
			case "sh":
				args = []string{"bash", "-euo", "pipefail", "-c", code}
			case "js":
				file := filepath.Join(dir, "hello.mjs")
				require.NoError(t, os.WriteFile(file, []byte(code), 0o600))
				args = []string{"node", file}
			case "python":
				file := filepath.Join(dir, "hello.py")
				require.NoError(t, os.WriteFile(file, []byte(code), 0o600))
				args = []string{interpreter, filepath.Join(root, "api/sdktest/python/run.py"), file}
			default:
				t.Fatalf("nobody knows how to run %q", e.language)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Dir = root // where bin/cubby is
			cmd.Env = append(debugMode(s.url), "CUBBY_URL="+s.url)
			if address == debugAddress {
				cmd.Env = append(environment("E2B_", "HTTP_PROXY=", "ALL_PROXY="), "E2B_DEBUG=true")
			}
			cmd.Stderr = t.Output()
			output, err := cmd.Output()
			require.NoError(t, err)
			require.Regexp(t, pattern(e.output), string(output))
		})
	}
}

func readExamples(t *testing.T) []example {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var examples []example
	for _, match := range exampleBlocks.FindAllStringSubmatch(string(readme), -1) {
		examples = append(examples, example{language: match[1], code: match[2], output: match[3]})
	}
	return examples
}

// pattern returns the regular expression of an output with ellipses.
func pattern(output string) string {
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(output), "…", ".*") + "$"
}
