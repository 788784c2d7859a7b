package docker

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/moby/term"

	"cubby/orchestrator"
)

// untagged is what older engines list as the tag of an image without one.
const untagged = "<none>:<none>"

// BuildSpec says what image to build.
type BuildSpec struct {
	Tag        string
	Context    io.Reader          // a tar with a Dockerfile
	Dockerfile string             // its name in Context; empty: Dockerfile
	Args       map[string]*string // build arguments; nil: unset
	Labels     map[string]string  // of the image, beside LabelImage
	Target     string             // the stage to build; empty: the last
}

// BuiltImage is an image that cubby made.
type BuiltImage struct {
	orchestrator.Image
	SizeBytes int64
	CreatedAt time.Time
	Labels    map[string]string
}

// ImageID returns the image that a tag or a digest names. The error is ErrImageMissing when the engine does not have it.
func (e *Engine) ImageID(ctx context.Context, tag string) (orchestrator.Image, error) {
	found, err := e.inspectImage(ctx, tag)
	if err != nil {
		return orchestrator.Image{}, err
	}
	return orchestrator.Image{ID: found.ID, Tag: tag}, nil
}

func (e *Engine) inspectImage(ctx context.Context, ref string) (image.InspectResponse, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	found, err := e.api.ImageInspect(limited, ref)
	switch {
	case errdefs.IsNotFound(err):
		return found, fmt.Errorf("%w: %s is not on the engine: build it again (cubby images build, or images add for a language of your own)", orchestrator.ErrImageMissing, ref)
	case err != nil:
		return found, fmt.Errorf("inspect image %s: %w", ref, e.kind(ctx, err))
	}
	return found, nil
}

// approve refuses an image that would escape the profile: with a VOLUME the engine mounts one more writable place,
// which nothing bounds. A digest always names the same image, so each is looked at once.
func (e *Engine) approve(ctx context.Context, digest string) error {
	e.mu.Lock()
	known := e.approved[digest]
	e.mu.Unlock()
	if known {
		return nil
	}
	found, err := e.inspectImage(ctx, digest)
	if err != nil {
		return err
	}
	if found.Config != nil && len(found.Config.Volumes) > 0 {
		return fmt.Errorf("%w: image %s declares VOLUME %s, which no limit would hold: remove it from its Dockerfile",
			orchestrator.ErrInvalid, digest, strings.Join(slices.Sorted(maps.Keys(found.Config.Volumes)), " "))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.approved[digest] = true
	return nil
}

// disapprove forgets an image that has gone.
func (e *Engine) disapprove(digest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.approved, digest)
}

// PullImage pulls an image, and shows how it goes.
func (e *Engine) PullImage(ctx context.Context, ref string, progress io.Writer) error {
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{})
	if err == nil {
		err = show(body, progress)
	}
	if err != nil {
		return fmt.Errorf("pull %s: %w", ref, e.kind(ctx, err))
	}
	return nil
}

// ImportImage makes an image of a root file system. Changes are Dockerfile instructions such as ENV A=b.
func (e *Engine) ImportImage(ctx context.Context, tar io.Reader, tag string, changes []string) error {
	body, err := e.api.ImageImport(ctx, image.ImportSource{Source: tar, SourceName: "-"}, tag, image.ImportOptions{
		Changes: append(slices.Clone(changes), "LABEL "+LabelImage+"="+tag),
	})
	if err == nil {
		err = show(body, io.Discard)
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", tag, e.kind(ctx, err))
	}
	return nil
}

// BuildImage builds an image, and shows how it goes. A step that fails is the error. It works without BuildKit, which
// not every engine has; the steps use the engine's host network, so that its proxies and name servers are theirs. The
// build ends with ctx.
//
// The stages of a build stay on the engine as untagged images. A stage that must not stay carries a label as its first
// instruction, by which PruneStages finds it.
func (e *Engine) BuildImage(ctx context.Context, spec BuildSpec, progress io.Writer) error {
	labels := map[string]string{LabelImage: spec.Tag}
	maps.Copy(labels, spec.Labels)
	answer, err := e.api.ImageBuild(ctx, spec.Context, build.ImageBuildOptions{
		Version:     build.BuilderV1,
		Tags:        []string{spec.Tag},
		Dockerfile:  spec.Dockerfile,
		BuildArgs:   spec.Args,
		Labels:      labels,
		Target:      spec.Target,
		NetworkMode: "host",
		Remove:      true,
		ForceRemove: true,
	})
	if err == nil {
		err = show(answer.Body, progress)
	}
	if err != nil {
		return fmt.Errorf("build %s: %w", spec.Tag, e.kind(ctx, err))
	}
	return nil
}

// show writes the engine's progress as docker does, to a terminal or to a file, and returns the error that it ends with.
func show(body io.ReadCloser, progress io.Writer) error {
	defer body.Close()
	if progress == nil {
		progress = io.Discard
	}
	fd, isTerminal := term.GetFdInfo(progress)
	return jsonmessage.DisplayJSONMessagesStream(body, progress, fd, isTerminal, nil)
}

// PruneStages removes the untagged images that carry the label ("key" or "key=value") and are at least so old. An engine
// prunes for one caller at a time: it waits until it is its turn, or ctx ends.
func (e *Engine) PruneStages(ctx context.Context, label string, age time.Duration) error {
	args := filters.NewArgs(filters.Arg("dangling", "true"), filters.Arg("label", label))
	if age > 0 {
		args.Add("until", age.String()) // by the engine's clock
	}
	err := persist(ctx, func() error {
		_, err := e.api.ImagesPrune(ctx, args)
		return err
	}, errdefs.IsConflict)
	if err != nil {
		return fmt.Errorf("remove build stages labelled %s: %w", label, e.kind(ctx, err))
	}
	return nil
}

// ListImages returns the images that cubby made and that have a tag, one entry a tag.
func (e *Engine) ListImages(ctx context.Context) ([]BuiltImage, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	found, err := e.api.ImageList(limited, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", LabelImage))})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", e.kind(ctx, err))
	}
	var images []BuiltImage
	for _, summary := range found {
		for _, tag := range summary.RepoTags {
			if tag == untagged {
				continue
			}
			images = append(images, BuiltImage{
				Image:     orchestrator.Image{ID: summary.ID, Tag: tag},
				SizeBytes: summary.Size, CreatedAt: time.Unix(summary.Created, 0), Labels: summary.Labels,
			})
		}
	}
	slices.SortFunc(images, func(a, b BuiltImage) int { return strings.Compare(a.Tag, b.Tag) })
	return images, nil
}

// RemoveImage removes a tag, and the image with its last tag. One that is not there is no error; one that a container
// uses is ErrConflict.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", ref, e.kind(ctx, err))
	}
	return nil
}
