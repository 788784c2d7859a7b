package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/hashicorp/go-multierror"

	"cubby/orchestrator"
)

// RemoveUnusedImages removes the images that cubby made and that no container uses, whoever made the container. Those
// that carry the label keep and have a tag count as used, and so does an image on which a used one is built. It goes on
// after an error, and returns them all.
func (e *Engine) RemoveUnusedImages(ctx context.Context, keep string) (int, error) {
	containers, err := e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", e.kind(ctx, err))
	}
	kept, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", keep))})
	if err != nil {
		return 0, fmt.Errorf("list images: %w", e.kind(ctx, err))
	}
	used := layers{}
	for _, c := range containers {
		used[c.ImageID] = nil
	}
	for _, summary := range kept {
		if slices.ContainsFunc(summary.RepoTags, func(tag string) bool { return tag != untagged }) {
			used[summary.ID] = nil
		}
	}
	for digest := range used {
		if used[digest], err = e.layersOf(ctx, digest); err != nil {
			return 0, err
		}
	}
	return e.removeImages(ctx, used)
}

// layers are the layers of images, by the images' digests.
type layers map[string][]string

// needs reports whether an image is one of these, or the beginning of one.
func (l layers) needs(digest string, of []string) bool {
	if _, ok := l[digest]; ok {
		return true
	}
	for _, longer := range l {
		if len(of) > 0 && len(longer) >= len(of) && slices.Equal(longer[:len(of)], of) {
			return true
		}
	}
	return false
}

// layersOf returns the layers of an image; none of one that has gone.
func (e *Engine) layersOf(ctx context.Context, digest string) ([]string, error) {
	found, err := e.inspectImage(ctx, digest)
	if err != nil && !errors.Is(err, orchestrator.ErrImageMissing) {
		return nil, err
	}
	return found.RootFS.Layers, nil
}

// removeImages removes the images that cubby made, but for those that the used ones need, and returns how many. An image
// that has tags of somebody else's beside ours loses ours.
func (e *Engine) removeImages(ctx context.Context, used layers) (int, error) {
	found, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", LabelImage))})
	if err != nil {
		return 0, fmt.Errorf("list images: %w", e.kind(ctx, err))
	}
	removed := 0
	var failed *multierror.Error
	for _, summary := range found {
		refs := ownRefs(summary)
		if len(refs) == 0 {
			continue
		}
		of, err := e.layersOf(ctx, summary.ID)
		if err == nil {
			if used.needs(summary.ID, of) {
				continue
			}
			err = e.removeTags(ctx, refs)
		}
		if err != nil {
			failed = multierror.Append(failed, err)
			continue
		}
		removed++
	}
	return removed, failed.ErrorOrNil()
}

// ownRefs returns the tags by which an image is cubby's, or its digest if it has no tag. Whatever somebody builds on an
// image of cubby's inherits its label, and anybody can give it another tag: such tags are theirs.
func ownRefs(summary image.Summary) []string {
	tags := slices.DeleteFunc(slices.Clone(summary.RepoTags), func(tag string) bool { return tag == untagged })
	if len(tags) == 0 {
		return []string{summary.ID}
	}
	return slices.DeleteFunc(tags, func(tag string) bool { return tag != summary.Labels[LabelImage] })
}

// removeTags removes an image by its tags: a tag goes even while another image is built on it, and an image without
// tags goes with the last that is.
func (e *Engine) removeTags(ctx context.Context, refs []string) error {
	var errs []error
	for _, ref := range refs {
		errs = append(errs, e.RemoveImage(ctx, ref))
	}
	return errors.Join(errs...)
}
