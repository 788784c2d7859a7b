package orchestrator_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the import path before every package of ours.
const module = "cubby/"

// importRule says what a package may import of this module, and which foreign packages it may not reach.
type importRule struct {
	pkg    string   // a package and all below it, unless a longer rule names them
	ours   []string // packages of this module that it may import: a package and all below it
	stdlib bool     // nothing foreign at all
	never  []string // packages that it may not reach, not even through others
}

// The directions of imports: cmd → api → orchestrator → {kernel, pool, store}; the engine adapter knows the
// orchestrator's types only; nobody but the adapter reaches the Docker SDK, except cmd through it.
var importRules = []importRule{
	{pkg: "orchestrator/kernel", stdlib: true},
	{pkg: "orchestrator/pool", stdlib: true},
	{pkg: "orchestrator/store", never: []string{"net/http", "github.com/docker"}},
	{
		pkg: "orchestrator/supervisor", ours: []string{"orchestrator/kernel"},
		never: []string{"net/http", "github.com/docker"},
	},
	{pkg: "orchestrator/docker", ours: []string{"orchestrator"}},
	{
		pkg:  "orchestrator/enginetest",
		ours: []string{"orchestrator", "orchestrator/kernel", "orchestrator/supervisor"},
	},
	{
		pkg:   "orchestrator",
		ours:  []string{"orchestrator/kernel", "orchestrator/pool", "orchestrator/store"},
		never: []string{"net/http", "github.com/docker"},
	},
	{pkg: "api/wire", stdlib: true},
	{pkg: "api/client", ours: []string{"api/wire"}, never: []string{"github.com/docker"}},
	{
		pkg:   "api",
		ours:  []string{"api/wire", "orchestrator", "orchestrator/kernel"},
		never: []string{"github.com/docker"},
	},
	{pkg: "images", ours: []string{"deploy"}, never: []string{"net/http", "github.com/docker"}},
	{
		pkg:  "images/imagetest",
		ours: []string{"orchestrator", "orchestrator/docker", "orchestrator/kernel", "orchestrator/store"},
	},
	{pkg: "deploy", stdlib: true},
	{
		pkg: "cmd/supervisor", ours: []string{"orchestrator/kernel", "orchestrator/supervisor"},
		never: []string{"net/http", "github.com/docker"},
	},
	{pkg: "cmd", ours: []string{"api", "deploy", "images", "orchestrator"}},
}

// dockerSDK are the modules that only the engine adapter imports.
var dockerSDK = []string{"github.com/docker/docker", "github.com/docker/go-connections"}

// testHelp are the packages for tests, which nothing that ships may import. The imports of tests themselves are not listed.
var testHelp = []string{"images/imagetest", "orchestrator/enginetest"}

// listed is what go list tells of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func TestImports(t *testing.T) {
	lookAtSources(t)
	packages := listPackages(t)
	for path, p := range packages {
		name, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		rule, ok := ruleOf(name)
		if !ok {
			t.Errorf("%s: no import rule names it; add one to importRules", name)
			continue
		}
		for _, fault := range faults(rule, name, p, packages) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

// lookAtSources makes go test run the test again when any source has changed: it reuses results for as long as the files
// that a test itself has looked at are the same, and what go list reads does not count.
func lookAtSources(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && path != "..") {
			return filepath.SkipDir
		}
		return err
	}))
}

// listPackages returns the packages of this module and all that they depend on, for Linux, where everything is built.
func listPackages(t *testing.T) map[string]listed {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	list.Dir = ".."
	list.Env = append(list.Environ(), "GOOS=linux")
	var said strings.Builder
	list.Stderr = &said
	out, err := list.Output()
	require.NoError(t, err, said.String())

	packages := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages[p.ImportPath] = p
	}
}

// ruleOf returns the rule that fits a package best.
func ruleOf(name string) (rule importRule, ok bool) {
	for _, r := range importRules {
		if within(name, r.pkg) && len(r.pkg) > len(rule.pkg) {
			rule, ok = r, true
		}
	}
	return rule, ok
}

// faults says what a package imports against its rule.
func faults(rule importRule, name string, p listed, packages map[string]listed) []string {
	var found []string
	for _, imported := range p.Imports {
		ours, own := strings.CutPrefix(imported, module)
		switch {
		case own && slices.Contains(testHelp, ours):
			found = append(found, "imports "+ours+", which is for tests")
		case own && !allowed(rule, name, ours):
			found = append(found, "imports "+ours+", which it may not know")
		case !own && rule.stdlib && !packages[imported].Standard:
			found = append(found, "imports "+imported+", but may import the standard library only")
		case slices.ContainsFunc(dockerSDK, func(sdk string) bool { return within(imported, sdk) }) && rule.pkg != "orchestrator/docker":
			found = append(found, "imports "+imported+", which is for orchestrator/docker alone")
		}
	}
	for _, dep := range p.Deps {
		for _, never := range rule.never {
			if within(dep, never) {
				found = append(found, "reaches "+dep+", which it may not depend on")
			}
		}
	}
	return found
}

// allowed reports whether a package of this module may import another one. The packages below orchestrator and api are
// rooms of their own: a rule that allows orchestrator does not allow orchestrator/docker, except for cmd.
func allowed(rule importRule, name, imported string) bool {
	if within(name, "cmd") && rule.pkg == "cmd" {
		return slices.ContainsFunc(rule.ours, func(pkg string) bool { return within(imported, pkg) })
	}
	return slices.Contains(rule.ours, imported)
}

// within reports whether a package is another one or below it.
func within(name, pkg string) bool { return name == pkg || strings.HasPrefix(name, pkg+"/") }

func TestImportFaults(t *testing.T) {
	packages := map[string]listed{"fmt": {ImportPath: "fmt", Standard: true}, "net/http": {Standard: true}}
	cases := []struct {
		pkg           string
		imports, deps []string
		want          string // empty: none
	}{
		{pkg: "orchestrator/kernel", imports: []string{"fmt"}},
		{pkg: "orchestrator/kernel", imports: []string{"github.com/x/y"}, want: "standard library only"},
		{pkg: "orchestrator", imports: []string{"cubby/orchestrator/kernel"}},
		{pkg: "orchestrator", imports: []string{"cubby/orchestrator/docker"}, want: "imports orchestrator/docker"},
		{pkg: "orchestrator", deps: []string{"net/http"}, want: "reaches net/http"},
		{pkg: "api", imports: []string{"cubby/orchestrator/docker"}, want: "imports orchestrator/docker"},
		{pkg: "api/client", imports: []string{"cubby/orchestrator"}, want: "imports orchestrator"},
		{pkg: "cmd/cubby", imports: []string{"cubby/orchestrator/docker", "cubby/api/client"}},
		{pkg: "cmd/cubby", imports: []string{"github.com/docker/docker/client"}, want: "orchestrator/docker alone"},
		{pkg: "orchestrator/docker", imports: []string{"github.com/docker/docker/client", "cubby/orchestrator"}},
		{pkg: "images", imports: []string{"cubby/orchestrator/docker"}, want: "imports orchestrator/docker"},
		{pkg: "images", imports: []string{"cubby/images/imagetest"}, want: "imports images/imagetest, which is for tests"},
		{pkg: "images/imagetest", imports: []string{"cubby/orchestrator/docker", "cubby/orchestrator/store"}},
		{pkg: "images/imagetest", imports: []string{"cubby/images"}, want: "imports images"},
		{pkg: "cmd/cubby", imports: []string{"cubby/images/imagetest"}, want: "which is for tests"},
		{pkg: "cmd/cubby", imports: []string{"cubby/orchestrator/enginetest"}, want: "which is for tests"},
	}
	for _, c := range cases {
		rule, ok := ruleOf(c.pkg)
		require.True(t, ok)
		got := strings.Join(faults(rule, c.pkg, listed{Imports: c.imports, Deps: c.deps}, packages), "; ")
		if c.want == "" {
			require.Empty(t, got, c.pkg)
			continue
		}
		require.Contains(t, got, c.want, c.pkg)
	}
}
