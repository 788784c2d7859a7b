//go:build integration

package images

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"cubby/images/imagetest"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// adapter makes an Engine of the engine adapter, as cmd does.
type adapter struct{ *docker.Engine }

func (a adapter) Architecture(ctx context.Context) (string, error) {
	info, err := a.Info(ctx)
	return info.Architecture, err
}

func (a adapter) ImageID(ctx context.Context, ref string) (string, error) {
	found, err := a.Engine.ImageID(ctx, ref)
	if errors.Is(err, orchestrator.ErrImageMissing) {
		return "", nil
	}
	return found.ID, err
}

func (a adapter) BuildImage(ctx context.Context, build ImageBuild, progress io.Writer) error {
	args := map[string]*string{}
	for name, value := range build.Args {
		args[name] = &value
	}
	return a.Engine.BuildImage(ctx, docker.BuildSpec{
		Tag: build.Tag, Context: build.Context, Dockerfile: build.Dockerfile, Args: args, Labels: build.Labels,
	}, progress)
}

// trace is a build whose certificates and proxies carry words that must be found nowhere afterwards.
type trace struct {
	builder
	tag    string // of what the test builds
	sdk    *client.Client
	before map[string]string // the images before the build
	words  [][]byte
}

func newTrace(t *testing.T) *trace {
	t.Helper()
	engine := kitEngine(t, "trace-test")
	endpoint, err := imagetest.FindEngine(t.Context())
	require.NoError(t, err)
	sdk, err := client.NewClientWithOpts(client.WithHost(endpoint.Host), client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sdk.Close()) })

	ca, err := HostCA()
	require.NoError(t, err)
	secret, host := word(t), word(t)
	tr := &trace{tag: "cubby-trace-test:" + word(t), sdk: sdk, words: [][]byte{[]byte(secret), []byte(host)}}
	tr.builder = builder{
		engine: adapter{engine}, tree: embedded, progress: t.Output(), bootstrap: bootstrap, patience: registryPatience,
		// Text outside of the markers is no certificate: what reads the bundle passes over it.
		options: BuildOptions{CA: append([]byte(secret+"\n"), ca...), Proxies: Proxies{No: host}},
	}
	arch, err := tr.engine.Architecture(t.Context())
	require.NoError(t, err)
	tr.base, err = tr.findBase(t.Context(), arch)
	require.NoError(t, err)
	tr.before = tr.images(t)
	t.Cleanup(func() {
		require.NoError(t, engine.RemoveImage(context.WithoutCancel(t.Context()), tr.tag))
	})
	return tr
}

func word(t *testing.T) string {
	t.Helper()
	raw := make([]byte, 16)
	_, err := rand.Read(raw)
	require.NoError(t, err)
	return hex.EncodeToString(raw)
}

// images returns the ids of all images, intermediate and dangling ones included, with those of their parents.
func (tr *trace) images(t *testing.T) map[string]string {
	t.Helper()
	found, err := tr.sdk.ImageList(t.Context(), image.ListOptions{All: true})
	require.NoError(t, err)
	parents := map[string]string{}
	for _, summary := range found {
		parents[summary.ID] = summary.ParentID
	}
	return parents
}

// found returns the ids of the images made since the start in whose history, configuration or layers one of the words
// is, and how many images were looked at. An image on which another one is built is looked at with that one; one that
// somebody else removes meanwhile is none of ours.
func (tr *trace) found(t *testing.T) (ids []string, looked int) {
	t.Helper()
	made := tr.images(t)
	maps.DeleteFunc(made, func(id, _ string) bool { _, old := tr.before[id]; return old })
	leaves := maps.Clone(made)
	for _, parent := range made {
		delete(leaves, parent)
	}
	for id := range leaves {
		hit, err := tr.hit(t, id)
		if errdefs.IsNotFound(err) {
			continue
		}
		require.NoError(t, err)
		looked++
		if hit {
			ids = append(ids, id)
		}
	}
	return ids, looked
}

// hit reports whether one of the words is in an image's history, configuration or layers.
func (tr *trace) hit(t *testing.T, id string) (bool, error) {
	t.Helper()
	history, err := tr.sdk.ImageHistory(t.Context(), id)
	if err != nil {
		return false, err
	}
	for _, layer := range history {
		if tr.in(t, strings.NewReader(layer.CreatedBy)) {
			return true, nil
		}
	}
	saved, err := tr.sdk.ImageSave(t.Context(), []string{id})
	if err != nil {
		return false, err
	}
	hit := tr.in(t, saved)
	return hit, saved.Close()
}

// in reports whether one of the words is in what r reads. Saved layers are not compressed.
func (tr *trace) in(t *testing.T, r io.Reader) bool {
	t.Helper()
	const overlap = 64 // longer than a word, which can lie across two chunks
	buf := make([]byte, 1<<20)
	kept, hit := 0, false
	for {
		n, err := r.Read(buf[kept:])
		chunk := buf[:kept+n]
		for _, w := range tr.words {
			hit = hit || bytes.Contains(chunk, w)
		}
		kept = copy(buf, chunk[max(0, len(chunk)-overlap):])
		if errors.Is(err, io.EOF) {
			return hit
		}
		require.NoError(t, err)
	}
}

func TestBuildLeavesNoTrace(t *testing.T) {
	stage := "ARG BASE\nFROM ${BASE} AS packages\nARG STAGE\nLABEL " + StageLabel + "=$STAGE\nCOPY ca.crt /build/\n"

	t.Run("the search finds what was left", func(t *testing.T) {
		tr := newTrace(t)
		files := []file{{name: "Dockerfile", mode: 0o644, content: []byte("ARG BASE\nFROM ${BASE}\nCOPY ca.crt /\n")}}
		require.NoError(t, tr.fetch(t.Context(), tr.tag, files))
		ids, _ := tr.found(t)
		require.NotEmpty(t, ids)
	})
	t.Run("after a build that failed", func(t *testing.T) {
		tr := newTrace(t)
		files := []file{{name: "Dockerfile", mode: 0o644, content: []byte(stage + "RUN echo $no_proxy >/build/proxy && false\n")}}
		require.ErrorContains(t, tr.fetch(t.Context(), tr.tag, files), "returned a non-zero code: 1")
		tr.requireNone(t)
	})
	t.Run("in an image of ours", func(t *testing.T) { // TestDockerfiles looks at what all have in common
		tr := newTrace(t)
		f, err := tr.tree.folder("deno")
		require.NoError(t, err)
		files, err := filesOf(tr.tree.packages, f.packages)
		require.NoError(t, err)
		require.NoError(t, tr.fetch(t.Context(), tr.tag, files))
		arch, err := tr.engine.Architecture(t.Context())
		require.NoError(t, err)
		files, err = tr.tree.driver(f, arch)
		require.NoError(t, err)
		require.NoError(t, tr.build(t.Context(), ImageBuild{
			Tag: tr.tag, Dockerfile: "Dockerfile.driver", Args: map[string]string{"PACKAGES": tr.tag},
		}, files))
		require.NotZero(t, tr.requireNone(t))
	})
}

// requireNone requires that no image holds a word, the stages that did included, and returns how many images there are.
func (tr *trace) requireNone(t *testing.T) int {
	t.Helper()
	ids, looked := tr.found(t)
	require.Empty(t, ids)
	return looked
}

func TestBuildsAtTheSameTime(t *testing.T) {
	first, second := newTrace(t), newTrace(t)
	stage := "ARG BASE\nFROM ${BASE} AS packages\nARG STAGE\nLABEL " + StageLabel + "=$STAGE\nCOPY ca.crt /\nRUN cp ca.crt copy\nFROM ${BASE}\n"
	dockerfile := func(last string) []file {
		return []file{{name: "Dockerfile", mode: 0o644, content: []byte(stage + last)}}
	}
	read, write := io.Pipe()
	first.progress = write
	built := make(chan error, 1)
	fresh := word(t) // keeps the engine from taking the step out of its cache
	go func() {
		err := first.fetch(t.Context(), first.tag, dockerfile("RUN : "+fresh+"; echo halfway; sleep 10\nCOPY --from=packages copy /\n"))
		built <- errors.Join(err, write.Close())
	}()
	lines := bufio.NewScanner(read)
	for lines.Scan() && lines.Text() != "halfway" {
		continue
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	require.NoError(t, second.fetch(t.Context(), second.tag, dockerfile("COPY --from=packages copy /\n")))
	require.NoError(t, <-built, "its stage was still there")
}
