package sdktest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSecurityNamesTests: every test that SECURITY.md relies on is there.
func TestSecurityNamesTests(t *testing.T) {
	page, err := os.ReadFile("../../SECURITY.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, named)
	declared := declaredTests(t)
	for _, name := range named {
		require.Contains(t, declared, name[1])
	}
}

// declaredTests returns the tests of this repository.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	declared := map[string]bool{}
	for _, dir := range []string{"api", "cmd", "deploy", "images", "orchestrator"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, match := range function.FindAllStringSubmatch(string(source), -1) {
				declared[match[1]] = true
			}
			return err
		})
		require.NoError(t, err)
	}
	return declared
}

// TestLinks: the files that the pages link to are there.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("../../*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	pages = append(pages, "../../images/README.md", "../../orchestrator/README.md")
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), match[1]))
			require.NoError(t, err, "%s links to it", filepath.Base(page))
		}
	}
}
