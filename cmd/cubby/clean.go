package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cubby/images"
	"cubby/orchestrator/docker"
	"cubby/orchestrator/store"
)

func (a *app) cleanCommand() *cobra.Command {
	var yes, all, keepImages bool
	cmd := &cobra.Command{
		Use:   "clean --yes",
		Short: "Remove what the server of a state directory made, and images that nothing uses",
		Long: `Remove all contexts of the server that has its state in --state-dir, with their containers and files, and the images
that cubby made and no container uses, but for languages that were added (cubby images add). That server must not run.
Other servers of this engine keep their contexts, but have to build again an image that none of them was using: with
--keep-images all images stay.

With --all, remove every container, volume and image that cubby made on this engine, whichever server made it. State
directories stay; their servers list their contexts as lost.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			clean := func(ctx context.Context) (docker.Removed, error) { return a.clean(ctx, keepImages) }
			what := "all contexts of the server with the state directory " + a.config.StateDir + " with their files"
			if !keepImages {
				what += ", and unused images"
			}
			if all {
				clean = a.cleanAll
				what = "all contexts of all cubby servers of this engine with their files, and the images"
			}
			if !yes {
				return fmt.Errorf("this removes %s; to do so, add --yes", what)
			}
			removed, err := clean(cmd.Context())
			if err != nil && removed == (docker.Removed{}) {
				return err
			}
			_, printed := fmt.Fprintf(a.stdout, "removed %d containers, %d volumes, %d images\n",
				removed.Containers, removed.Volumes, removed.Images)
			return errors.Join(err, printed)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, remove them")
	cmd.Flags().BoolVar(&all, "all", false, "remove what all servers of this engine made")
	cmd.Flags().BoolVar(&keepImages, "keep-images", false, "leave the images alone")
	cmd.MarkFlagsMutuallyExclusive("all", "keep-images")
	a.take(cmd, "state-dir")
	return cmd
}

// clean removes the contexts of the server of the state directory, and the images that nothing uses then, unless they
// are to be kept. It holds the state directory meanwhile, so that no server makes what nobody would find again.
func (a *app) clean(ctx context.Context, keepImages bool) (removed docker.Removed, err error) {
	state, err := openIdle(a.config.StateDir)
	if err != nil {
		return removed, err
	}
	cleanImages := a.cleanImages
	if keepImages {
		cleanImages = func(context.Context) (docker.Removed, error) { return docker.Removed{}, nil }
	}
	if state == nil {
		return cleanImages(ctx)
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	e, err := a.connect(ctx, state.Instance(), a.logger())
	if err != nil {
		return removed, err
	}
	defer e.Close()
	own, err := e.RemoveInstance(ctx)
	if err == nil {
		err = forget(state)
	}
	removed, imagesErr := cleanImages(ctx)
	removed.Containers, removed.Volumes = own.Containers, own.Volumes
	return removed, errors.Join(err, imagesErr)
}

// openIdle opens a state directory that no server uses. It is nil where no server has ever run.
func openIdle(dir string) (*store.Store, error) {
	if _, err := os.Stat(filepath.Join(dir, "instance")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is no fault
	}
	state, err := store.Open(dir)
	if errors.Is(err, store.ErrInUse) {
		return nil, inUse(err, dir, "stop that one first")
	}
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	return state, nil
}

// forget removes the records of all contexts.
func forget(state *store.Store) error {
	contexts, err := state.Contexts()
	if err != nil {
		return fmt.Errorf("forget the contexts: %w", err)
	}
	for _, cc := range contexts {
		if err := state.DeleteContext(cc.ID); err != nil {
			return fmt.Errorf("forget context %s: %w", cc.ID, err)
		}
	}
	return nil
}

// cleanImages removes the images that nothing uses.
func (a *app) cleanImages(ctx context.Context) (removed docker.Removed, err error) {
	err = a.withEngine(ctx, func(e engine) error {
		pruned := e.PruneStages(ctx, images.StageLabel, 0)
		count, err := e.RemoveUnusedImages(ctx, images.LabelAdded)
		removed.Images = count
		return errors.Join(pruned, err)
	})
	return removed, err
}

// cleanAll removes what every server of the engine made.
func (a *app) cleanAll(ctx context.Context) (removed docker.Removed, err error) {
	err = a.withEngine(ctx, func(e engine) error {
		all, err := e.RemoveAll(ctx)
		removed = all
		return errors.Join(err, e.PruneStages(ctx, images.StageLabel, 0))
	})
	return removed, err
}
