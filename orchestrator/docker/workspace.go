package docker

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"cubby/orchestrator"
)

// CreateWorkspace implements orchestrator.Workspaces. A volume of that name that is somebody else's is ErrConflict.
func (e *Engine) CreateWorkspace(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	made, err := e.api.VolumeCreate(limited, volume.CreateOptions{Name: name, Labels: volumeLabels(e.instance, name)})
	if err != nil {
		return fmt.Errorf("create workspace %s: %w", name, e.kind(ctx, err))
	}
	if made.Labels[LabelInstance] != e.instance {
		return fmt.Errorf("create workspace %s: %w: a volume of that name belongs to somebody else", name, orchestrator.ErrConflict)
	}
	return nil
}

// RemoveWorkspace implements orchestrator.Workspaces. A volume that a container still uses, or that is somebody else's,
// is ErrConflict.
func (e *Engine) RemoveWorkspace(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	found, err := e.api.VolumeInspect(limited, name)
	if err == nil && found.Labels[LabelInstance] != e.instance {
		return fmt.Errorf("remove workspace %s: %w: the volume belongs to somebody else", name, orchestrator.ErrConflict)
	}
	if err == nil {
		err = e.api.VolumeRemove(limited, name, false)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove workspace %s: %w", name, e.kind(ctx, err))
	}
	return nil
}

// ListWorkspaces implements orchestrator.Workspaces. Anonymous volumes are not among them.
func (e *Engine) ListWorkspaces(ctx context.Context) ([]string, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	found, err := e.api.VolumeList(limited, volume.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", LabelInstance+"="+e.instance), filters.Arg("label", labelWorkspace),
	)})
	if err != nil {
		return nil, fmt.Errorf("list workspaces: %w", e.kind(ctx, err))
	}
	names := make([]string, len(found.Volumes))
	for i, v := range found.Volumes {
		names[i] = v.Name
	}
	return names, nil
}
