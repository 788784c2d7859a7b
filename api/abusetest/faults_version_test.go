//go:build integration

package abusetest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"

	"cubby/api/client"
	"cubby/api/wire"
)

// root is this repository.
const root = "../.."

// successor builds the program of a later version and its images: its supervisors speak the next protocol, its store has
// the next schema.
func successor(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	changed := overlay{}
	changed.edit(t, dir, "orchestrator/kernel/frame.go", "Protocol = 2", "Protocol = 3")
	changed.edit(t, dir, "orchestrator/store/store.go", "const schema = 1", "const schema = 2")
	supervisor, path := filepath.Join(dir, "supervisor"), filepath.Join(dir, "cubby")
	changed.build(t, dir, supervisor, "./cmd/supervisor")
	changed["images/supervisor/supervisor-linux-"+runtime.GOARCH] = supervisor
	changed.build(t, dir, path, "./cmd/cubby")
	code, said := command(t, path, "images", "build")
	require.Zero(t, code, said)
	tag := regexp.MustCompile(`cubby-python:[0-9a-f]{16}`).FindString(said)
	require.NotEmpty(t, tag, said)
	t.Cleanup(func() {
		_, err := dial(t).ImageRemove(patient(t), tag, image.RemoveOptions{Force: true, PruneChildren: true})
		require.NoError(t, err)
	})
	return path
}

// overlay is what differs from the sources: by the name of a file, the file that takes its place.
type overlay map[string]string

// edit takes a file with a change in it into the overlay.
func (o overlay) edit(t *testing.T, dir, name, old, changed string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	require.Contains(t, string(source), old, "in %s", name)
	o[name] = filepath.Join(dir, filepath.Base(name))
	require.NoError(t, os.WriteFile(o[name], []byte(strings.Replace(string(source), old, changed, 1)), 0o600))
}

// build compiles a program from the sources and the overlay.
func (o overlay) build(t *testing.T, dir, path, pkg string) {
	t.Helper()
	replace := map[string]string{}
	for name, file := range o {
		absolute, err := filepath.Abs(filepath.Join(root, name))
		require.NoError(t, err)
		replace[absolute] = file
	}
	description, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, description, 0o600))
	build := exec.CommandContext(patient(t), "go", "build", "-overlay", file, "-buildvcs=false", "-ldflags", "-s -w", "-o", path, pkg)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// TestVersions: contexts and state of one version in the hands of another, and images that come and go.
func TestVersions(t *testing.T) {
	next := successor(t)
	s := startServer(t)
	t.Run("F34 tags moved and images removed", func(t *testing.T) { moveImages(t, newArena(t, s), startProgram(t, next)) })
	t.Run("F8 an upgrade, and the way back", func(t *testing.T) { upgrade(t, newArena(t, s), next) })
}

// upgrade hands contexts to a server whose protocol their supervisors do not speak: it says so, of each. The state that
// it has written is refused by the old one, and left alone.
func upgrade(t *testing.T, a *arena, next string) {
	before := a.run(t, a.attacked, "x")
	a.kill(t)
	a.program = next
	a.start(t)
	for _, id := range []string{a.attacked, a.neighbour} {
		told := a.run(t, id, "x + 1")
		require.Equal(t, "lost", told.ending, "%+v", told)
		require.Contains(t, told.errValue, "protocol 2")
		require.Contains(t, told.errValue, "protocol 3")
		fresh := a.run(t, id, "x = 41")
		require.Equal(t, "ok", fresh.ending, "%+v", fresh)
		require.Equal(t, before.generation+1, fresh.generation)
	}
	a.box.requireGone(t)
	a.box = a.container(t, a.attacked)
	a.kill(t)

	database := filepath.Join(a.state, "state.db")
	written, err := os.ReadFile(database)
	require.NoError(t, err)
	containers, _ := a.onEngine(t)
	code, said := a.serveAgain(t)
	require.NotZero(t, code)
	require.Contains(t, said, "newer version")
	kept, err := os.ReadFile(database)
	require.NoError(t, err)
	require.Equal(t, written, kept, "an old version has changed the state of a newer one")
	left, _ := a.onEngine(t)
	require.Equal(t, containers, left)

	a.start(t) // the positive control: to the newer one everything is as it was
	a.requireIntact(t, a.attacked)
	a.requireIntact(t, a.neighbour)
	require.Equal(t, a.box.id, a.container(t, a.attacked).id)
}

// moveImages lets the tag of a server's image name another one, and then nothing: the server keeps to the image that it
// found at first. Once that is gone as well, new contexts are refused with the remedy. The server is that of the next
// version, whose image is nobody else's; the arena, another's, must not notice.
func moveImages(t *testing.T, a *arena, s *server) {
	stop := a.watch(t)
	id := s.create(t)
	require.Equal(t, "ok", s.run(t, id, "x = 41").ending)
	current, other := s.detail(t, id).Image, a.detail(t, a.attacked).Image
	require.NotEqual(t, current.ID, other.ID)
	requireCurrent := func() {
		t.Helper()
		s.requireIntact(t, id)
		made := s.create(t)
		require.Equal(t, current.ID, s.container(t, made).inspect(t).Image)
		s.remove(t, made)
	}
	require.NoError(t, s.docker.ImageTag(patient(t), other.ID, current.Tag))
	requireCurrent()
	untag := func() {
		t.Helper()
		_, err := s.docker.ImageRemove(patient(t), current.Tag, image.RemoveOptions{Force: true})
		require.NoError(t, err)
	}
	untag()
	requireCurrent()
	s.remove(t, id)
	_, err := s.docker.ImageRemove(patient(t), current.ID, image.RemoveOptions{Force: true})
	require.NoError(t, err)
	_, err = s.client.Create(patient(t), wire.CreateContext{})
	require.ErrorIs(t, err, client.ErrUnavailable)
	require.ErrorContains(t, err, "cubby images build python")
	containers, _ := s.onEngine(t)
	require.Empty(t, containers, "of what was refused")

	code, said := command(t, s.program, "images", "build")
	require.Zero(t, code, said)
	id = s.create(t) // the positive control
	require.Equal(t, current.Tag, s.detail(t, id).Image.Tag)
	s.remove(t, id)
	stop()
}
