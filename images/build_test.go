package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeEngine keeps the digests of images by name. A field that is set makes a method go wrong.
type fakeEngine struct {
	images map[string]string
	calls  []string
	builds []ImageBuild
	packed [][]string // the names of each build's files, sorted

	files    map[string]map[string][]byte // of an image, by its directories
	pull     func(ctx context.Context, progress io.Writer) error
	buildErr error
	pruneErr error
}

func (e *fakeEngine) Architecture(context.Context) (string, error) { return "x86_64", nil }

func (e *fakeEngine) ImageID(_ context.Context, ref string) (string, error) {
	return e.images[ref], nil
}

// add adds an image.
func (e *fakeEngine) add(ref string) {
	e.images[ref] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(ref)))
}

func (e *fakeEngine) PullImage(ctx context.Context, ref string, progress io.Writer) error {
	e.calls = append(e.calls, "pull "+ref)
	if err := e.pull(ctx, progress); err != nil {
		return err
	}
	e.add(ref)
	return nil
}

func (e *fakeEngine) ImportImage(_ context.Context, archive io.Reader, ref string, _ []string) error {
	e.calls = append(e.calls, "import "+ref)
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return err
	}
	e.add(ref)
	return nil
}

func (e *fakeEngine) BuildImage(_ context.Context, build ImageBuild, _ io.Writer) error {
	name, _, _ := strings.Cut(build.Tag, ":")
	on, _, _ := strings.Cut(build.Args["BASE"]+build.Args["PACKAGES"], ":")
	e.calls = append(e.calls, "build "+name+" on "+on)
	e.builds, e.packed = append(e.builds, build), append(e.packed, names(build.Context))
	if e.buildErr == nil {
		e.add(build.Tag)
	}
	return e.buildErr
}

// names returns the names of the files in a build context, sorted.
func names(archive io.Reader) []string {
	var names []string
	reader := tar.NewReader(archive)
	for header, err := reader.Next(); err == nil; header, err = reader.Next() {
		names = append(names, header.Name)
	}
	slices.Sort(names)
	return names
}

func (e *fakeEngine) RemoveImage(ctx context.Context, ref string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, _, _ := strings.Cut(ref, ":")
	e.calls = append(e.calls, "remove "+name)
	delete(e.images, ref)
	return nil
}

func (e *fakeEngine) ImageFiles(_ context.Context, ref, dir string) (map[string][]byte, error) {
	if e.images[ref] == "" {
		return nil, errDown
	}
	return e.files[dir], nil
}

func (e *fakeEngine) PruneStages(ctx context.Context, label string, age time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	key, stage, _ := strings.Cut(label, "=")
	if last := e.builds[len(e.builds)-1]; stage != "" && stage == last.Args["STAGE"] {
		key += " of the build"
	}
	e.calls = append(e.calls, fmt.Sprintf("prune %s after %s", key, age))
	return e.pruneErr
}

// The pruning that follows the build of packages.
const pruneOwn, pruneStale = "prune cubby.stage of the build after 0s", "prune cubby.stage after 1h0m0s"

// bench is a builder on an engine where a registry answers.
type bench struct {
	engine *fakeEngine
	out    bytes.Buffer
	builder
}

func newBench() *bench {
	b := &bench{engine: &fakeEngine{
		images: map[string]string{},
		pull: func(_ context.Context, progress io.Writer) error {
			_, err := io.WriteString(progress, "Pulling\n")
			return err
		},
	}}
	b.builder = builder{
		engine: b.engine, tree: sample(), progress: &b.out, patience: registryPatience,
		bootstrap: func(context.Context, string, io.Writer) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("tar")), nil
		},
	}
	return b
}

var errDown = errors.New("no such host")

// offline is a registry that does not answer.
func offline(context.Context, io.Writer) error { return errDown }

func TestBuild(t *testing.T) {
	t.Run("all languages are built on the pulled base", func(t *testing.T) {
		b := newBench()
		require.NoError(t, b.run(t.Context()))
		require.Equal(t, []string{
			"pull debian:trixie-slim",
			"build cubby-bash-packages on debian", pruneOwn, pruneStale, "build cubby-bash on cubby-bash-packages",
			"build cubby-python-packages on debian", pruneOwn, pruneStale, "build cubby-python on cubby-python-packages",
		}, b.engine.calls)
		require.Contains(t, b.out.String(), "base image: debian:trixie-slim, pulled")
	})
	t.Run("what is built already is not built again", func(t *testing.T) {
		b := newBench()
		require.NoError(t, b.run(t.Context()))
		b.engine.calls = nil
		require.NoError(t, b.run(t.Context()))
		require.Empty(t, b.engine.calls)
		require.Contains(t, b.out.String(), "is there already")
	})
	t.Run("an image is labelled with its language, and packages with none", func(t *testing.T) {
		b := newBench()
		b.options.Images = []string{"python"}
		require.NoError(t, b.run(t.Context()))
		require.Empty(t, b.engine.builds[0].Labels)
		require.Equal(t, map[string]string{LabelLanguage: "python"}, b.engine.builds[1].Labels)
	})
	t.Run("packages of several images are built once, also by force", func(t *testing.T) {
		b := newBench()
		b.options.Images, b.options.Force = []string{"bash", "python"}, true
		b.tree = change("bash/language.json", `{"name":"bash","packages":"python","driver":"python"}`)
		require.NoError(t, b.run(t.Context()))
		require.Equal(t, []string{
			"pull debian:trixie-slim",
			"build cubby-python-packages on debian", "prune cubby.stage of the build after 0s", "prune cubby.stage after 1h0m0s",
			"build cubby-bash on cubby-python-packages", "build cubby-python on cubby-python-packages",
		}, b.engine.calls)
	})
	t.Run("another supervisor or driver leaves the packages as they are", func(t *testing.T) {
		for _, name := range []string{"supervisor/supervisor-linux-amd64", "python/driver.py"} {
			b := newBench()
			b.options.Images = []string{"python"}
			require.NoError(t, b.run(t.Context()))
			b.engine.calls, b.tree = nil, change(name, "other")
			require.NoError(t, b.run(t.Context()))
			require.Equal(t, []string{"build cubby-python on cubby-python-packages"}, b.engine.calls)
		}
	})
	t.Run("other requirements, and a base that was renewed, make other packages", func(t *testing.T) {
		for name, renew := range map[string]func(b *bench){
			"requirements": func(b *bench) { b.tree = change("python/packages/requirements.txt", "other") },
			"base": func(b *bench) {
				b.engine.images[publicBase] = "sha256:fedcba9876543210"
				b.tree = change("python/driver.py", "other")
			},
		} {
			b := newBench()
			b.options.Images = []string{"python"}
			require.NoError(t, b.run(t.Context()))
			renew(b)
			require.NoError(t, b.run(t.Context()))
			require.Len(t, b.engine.builds, 4, name)
			require.NotEqual(t, b.engine.builds[0].Tag, b.engine.builds[2].Tag, name)
			require.NotEqual(t, b.engine.builds[0].Args["STAGE"], b.engine.builds[2].Args["STAGE"], name)
		}
	})
	t.Run("force builds again", func(t *testing.T) {
		b := newBench()
		require.NoError(t, b.run(t.Context()))
		b.engine.calls, b.options.Force = nil, true
		require.NoError(t, b.run(t.Context()))
		require.Contains(t, b.engine.calls, "build cubby-python-packages on debian")
		require.Contains(t, b.engine.calls, "build cubby-python on cubby-python-packages")
	})
	t.Run("a language named twice is built once", func(t *testing.T) {
		b := newBench()
		b.options.Images = []string{"py", "python"}
		require.NoError(t, b.run(t.Context()))
		require.Len(t, b.engine.builds, 2)
	})
	t.Run("an unknown language is refused before anything is pulled", func(t *testing.T) {
		b := newBench()
		b.options.Images = []string{"python", "cobol"}
		require.ErrorIs(t, b.run(t.Context()), ErrUnknownLanguage)
		require.Empty(t, b.engine.calls)
	})
	t.Run("a missing supervisor is noticed before anything is pulled", func(t *testing.T) {
		b := newBench()
		delete(b.tree.drivers.(fstest.MapFS), "supervisor/supervisor-linux-amd64")
		require.ErrorIs(t, b.run(t.Context()), ErrNoSupervisor)
		require.Empty(t, b.engine.calls)
	})
	t.Run("proxies go into the predefined arguments only", func(t *testing.T) {
		b := newBench()
		b.options.Proxies = Proxies{HTTP: "http://proxy:3128", No: "localhost"}
		require.NoError(t, b.run(t.Context()))
		for i, own := range []map[string]string{
			{"BASE": "debian:trixie-slim", "STAGE": b.engine.builds[0].Args["STAGE"]},
			{"PACKAGES": b.engine.builds[0].Tag},
		} {
			maps.Copy(own, map[string]string{
				"http_proxy": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128", "no_proxy": "localhost", "NO_PROXY": "localhost",
			})
			require.Equal(t, own, b.engine.builds[i].Args)
		}
	})
}

func TestBuildFails(t *testing.T) {
	t.Run("stages are pruned after a failed build", func(t *testing.T) {
		b := newBench()
		b.engine.buildErr = errDown
		err := b.run(t.Context())
		require.ErrorIs(t, err, errDown)
		require.ErrorContains(t, err, "build the image of bash")
		require.Equal(t, []string{pruneOwn, pruneStale}, b.engine.calls[2:])
	})
	t.Run("stages are pruned after a cancelled build", func(t *testing.T) {
		b := newBench()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, b.fetch(ctx, "cubby-python-packages:1", nil))
		require.Contains(t, b.engine.calls, pruneOwn)
	})
	t.Run("an image that does not boot is removed again", func(t *testing.T) {
		b := newBench()
		b.options.Images = []string{"python"}
		b.options.Try = func(_ context.Context, tag string) (string, error) {
			require.NotEmpty(t, b.engine.images[tag])
			return "", ErrUnfit
		}
		err := b.run(t.Context())
		require.ErrorIs(t, err, ErrUnfit)
		require.ErrorContains(t, err, "cubby-python:")
		require.Equal(t, "remove cubby-python", b.engine.calls[len(b.engine.calls)-1])
	})
	t.Run("stages that stay are told of", func(t *testing.T) {
		b := newBench()
		b.engine.pruneErr = errDown
		err := b.run(t.Context())
		require.ErrorIs(t, err, errDown)
		require.ErrorContains(t, err, "docker image prune --filter label=cubby.stage")
	})
}
