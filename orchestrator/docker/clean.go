package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/hashicorp/go-multierror"
)

// Removed counts what a clean-up removed.
type Removed struct {
	Containers, Volumes, Images int
}

// RemoveInstance removes every container and volume of this instance. It goes on after an error, and returns them all.
func (e *Engine) RemoveInstance(ctx context.Context) (Removed, error) {
	return e.removeLabelled(ctx, LabelInstance+"="+e.instance)
}

// RemoveAll removes every container, volume and image that any instance of cubby made on this engine. It goes on after
// an error, and returns them all.
func (e *Engine) RemoveAll(ctx context.Context) (Removed, error) {
	removed, err := e.removeLabelled(ctx, LabelInstance)
	images, imagesErr := e.removeImages(ctx)
	removed.Images = images
	return removed, multierror.Append(err, imagesErr).ErrorOrNil()
}

// removeLabelled removes containers, then the volumes that they used.
func (e *Engine) removeLabelled(ctx context.Context, label string) (Removed, error) {
	var removed Removed
	labelled := filters.NewArgs(filters.Arg("label", label))
	containers, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled})
	if err != nil {
		return removed, fmt.Errorf("list containers: %w", e.kind(ctx, err))
	}
	var removing multierror.Group
	slots := make(chan struct{}, inspections)
	for _, c := range containers {
		slots <- struct{}{}
		removing.Go(func() error {
			defer func() { <-slots }()
			limited, cancel := context.WithTimeout(ctx, removeLimit)
			defer cancel()
			return e.remove(limited, c.ID)
		})
	}
	failed := removing.Wait()
	removed.Containers = len(containers)
	if failed != nil {
		removed.Containers -= failed.Len()
	}

	volumes, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: labelled})
	if err != nil {
		return removed, multierror.Append(failed, fmt.Errorf("list volumes: %w", e.kind(ctx, err)))
	}
	for _, v := range volumes.Volumes {
		err := e.api.VolumeRemove(ctx, v.Name, false)
		switch {
		case err == nil:
			removed.Volumes++
		case !errdefs.IsNotFound(err):
			failed = multierror.Append(failed, fmt.Errorf("remove volume %s: %w", v.Name, e.kind(ctx, err)))
		}
	}
	return removed, failed.ErrorOrNil()
}

// removeImages removes the images that cubby made, each by its tags: a tag goes even while another image is built on it,
// and an untagged image goes with the last that is.
func (e *Engine) removeImages(ctx context.Context) (int, error) {
	found, err := e.api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", LabelImage))})
	if err != nil {
		return 0, fmt.Errorf("list images: %w", e.kind(ctx, err))
	}
	removed := 0
	var failed *multierror.Error
	for _, summary := range found {
		refs := slices.DeleteFunc(summary.RepoTags, func(tag string) bool { return tag == untagged })
		if len(refs) == 0 {
			refs = []string{summary.ID}
		}
		var errs []error
		for _, ref := range refs {
			errs = append(errs, e.RemoveImage(ctx, ref))
		}
		if err := errors.Join(errs...); err != nil {
			failed = multierror.Append(failed, err)
			continue
		}
		removed++
	}
	return removed, failed.ErrorOrNil()
}
