//go:build integration

package abusetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience bounds every wait of these tests; it is no expectation.
const patience = 2 * time.Minute

// program is the path of the server's program, with the race detector in it.
var program string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "cubby-abusetest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "cubby")
	build := exec.Command("go", "build", "-race", "-buildvcs=false", "-o", program, "cubby/cmd/cubby") //nolint:noctx // before any test
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the program: %w (make build first)\n%s", err, out)
	}
	return m.Run(), nil
}
