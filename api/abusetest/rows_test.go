package abusetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rowCount is the number of rows.
const rowCount = 23 + 29 + 21 + 10 + 32 + 52 // A to F

// TestRows holds that rows.sh tells which rows have no test.
func TestRows(t *testing.T) {
	list, err := os.ReadFile("rows.txt")
	require.NoError(t, err)
	rows := strings.Split(strings.TrimSpace(string(list)), "\n")

	t.Run("every row has one line, and a title", func(t *testing.T) {
		seen := map[string]bool{}
		for _, row := range rows {
			id, title, _ := strings.Cut(row, " ")
			require.Regexp(t, "^[A-F][1-9][0-9]?$", id)
			require.NotEmpty(t, title, id)
			require.False(t, seen[id], "%s stands there twice", id)
			seen[id] = true
		}
		require.Len(t, seen, rowCount)
	})
	t.Run("a row that no test names is listed", func(t *testing.T) {
		require.Equal(t, rows, untested(t, `func TestOther(t *testing.T) { t.Run("nothing", f) }`))
	})
	for name, test := range map[string]string{
		"a subtest":      `	t.Run("ID some words", f)`,
		"one of a table": `		"ID: some words": "code",`,
		"one of two":     `		{name: "ID, F52: some words"},`,
		"a test":         `func TestIDKillsAll(t *testing.T) {`,
	} {
		t.Run("a row that is named is not: "+name, func(t *testing.T) {
			left := untested(t, strings.ReplaceAll(test, "ID", "B7"))
			require.NotContains(t, left, rows[23+7-1])
			require.GreaterOrEqual(t, len(left), len(rows)-2)
		})
	}
	for name, test := range map[string]string{
		"in a comment":          `// TestOther (ID): some words`,
		"as part of a word":     `	t.Run("IDB some words", f)`,
		"somewhere in a string": `	t.Run("unlike ID", f)`,
		"of a longer number":    `	t.Run("ID0 some words", f)`,
	} {
		t.Run("nor is one named by its id "+name, func(t *testing.T) {
			require.Contains(t, untested(t, strings.ReplaceAll(test, "ID", "B7")), rows[23+7-1])
		})
	}
}

// untested returns the rows that rows.sh lists for a directory with one test file.
func untested(t *testing.T, source string) []string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "some_test.go"), []byte(source+"\n"), 0o600))
	out, err := exec.CommandContext(t.Context(), "sh", "rows.sh", dir).Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := len(lines) - 1
	require.Equal(t, fmt.Sprintf("%d of %d rows are named by no test", last, rowCount), lines[last])
	return lines[:last]
}
