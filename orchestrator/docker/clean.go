package docker

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
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
	images, imagesErr := e.removeImages(ctx, nil)
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
