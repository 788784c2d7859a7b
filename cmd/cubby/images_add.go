package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"cubby/images"
	"cubby/orchestrator"
)

func (a *app) imagesAdd() *cobra.Command {
	var o images.AddOptions
	cmd := &cobra.Command{
		Use:   "add NAME (--dockerfile DIR | --image IMAGE)",
		Short: "Add a language of your own",
		Long: `Add a language of your own, from a folder or from an image.

The folder of --dockerfile has a Dockerfile with what the language needs, a language.json, and a driver in files that are
called driver…; images/README.md in cubby's sources says what is in them. The image of --image is on the engine or can be
pulled, and has a kernel for Jupyter, or a language.json and a driver in /opt/cubby. cubby puts its supervisor on top and
looks whether the kernel boots. To add a language again replaces it, also for new contexts of a running server; but an
image that a container uses stays, and a server that has found it keeps to it until its next start.`,
		Example: `  cubby images add ruby --dockerfile ./ruby
  cubby images add julia --image quay.io/jupyter/julia-notebook --kernelspec julia-1.11`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (o.Dir == "") == (o.Image == "") {
				return errors.New("name the language's origin with either --dockerfile or --image")
			}
			o.Name = args[0]
			return a.withEngine(cmd.Context(), func(e engine) error { return a.addLanguage(cmd.Context(), e, o) })
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dockerfile", "", "folder with a Dockerfile, a language.json and a driver")
	cmd.Flags().StringVar(&o.Image, "image", "", "image with a kernel for Jupyter, or with a language.json and a driver")
	cmd.Flags().StringVar(&o.Kernelspec, "kernelspec", "", "kernel of the image (default: the only one)")
	cmd.Flags().StringVar(&o.Base, "base", "", "image that ARG BASE of the Dockerfile means (default: as for images build)")
	cmd.Flags().BoolVar(&o.Force, "force", false, "build what is there already, too")
	cmd.MarkFlagsMutuallyExclusive("dockerfile", "kernelspec")
	return cmd
}

// addLanguage adds a language, removes the images that it takes the place of, and says how to use it.
func (a *app) addLanguage(ctx context.Context, e engine, o images.AddOptions) error {
	info, err := e.Info(ctx)
	if err != nil {
		return err
	}
	before, err := a.catalog(ctx, e, info.Architecture)
	if err != nil {
		return err
	}
	for _, l := range before.others() {
		o.Others = append(o.Others, images.Language(l))
	}
	if err := a.complete(&o.BuildOptions, e, info); err != nil {
		return err
	}
	added, err := images.Add(ctx, buildEngine{e}, o)
	if err != nil {
		return fmt.Errorf("add %s: %w", o.Name, err)
	}
	if err := removeSuperseded(ctx, e, before, added); err != nil {
		return err
	}
	names := make([]string, 0, len(before.own)+1)
	for _, l := range before.own {
		names = append(names, l.Name)
	}
	_, err = fmt.Fprintf(visible(a.stdout, a.stdoutTerminal), "added %s %s as %s\nuse it:  cubby run -l %s …  or  cubby serve --languages %s,%s\n",
		added.Name, added.Version, added.Tag, added.Name, strings.Join(names, ","), added.Name)
	return err
}

// removeSuperseded removes the images whose place one that was added has taken, unless a container uses them.
func removeSuperseded(ctx context.Context, e engine, before catalog, added images.Added) error {
	now, err := e.ImageID(ctx, added.Tag)
	if err != nil {
		return err
	}
	for _, old := range before.added {
		ref := old.Tag
		if ref == added.Tag { // that is the new one by now
			ref = old.ID
		}
		if old.language.Name != added.Name || !old.fits || ref == now.ID {
			continue
		}
		if err := e.RemoveImage(ctx, ref); err != nil && !errors.Is(err, orchestrator.ErrConflict) {
			return err
		}
	}
	return nil
}

func (a *app) imagesRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove languages that were added",
		Args:  arguments(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e engine) error {
				var errs []error
				for _, name := range args {
					errs = append(errs, a.removeLanguage(cmd.Context(), e, name))
				}
				return errors.Join(errs...)
			})
		},
	}
}

// removeLanguage removes all images of an added language: its own and then those of its packages. Of a language that was
// added before cubby brought one of that name along, packages stay: which are whose is not known.
func (a *app) removeLanguage(ctx context.Context, e engine, name string) error {
	built, err := e.ListImages(ctx)
	if err != nil {
		return err
	}
	var tags, packages []string
	for _, image := range built {
		language, added := addedLanguage(image)
		switch {
		case added && language == name:
			tags = append(tags, image.Tag)
		case strings.HasPrefix(image.Tag, "cubby-"+name+"-packages:"):
			packages = append(packages, image.Tag)
		}
	}
	if _, err := images.Lookup(name); err != nil {
		tags = append(tags, packages...)
	} else if len(tags) == 0 {
		return fmt.Errorf("%s is of cubby's own, and was not added; cubby clean removes images that nothing uses", name)
	}
	if len(tags) == 0 {
		return fmt.Errorf("%w: %s was not added; cubby images ls shows what there is", orchestrator.ErrNotFound, name)
	}
	for _, tag := range tags {
		err := e.RemoveImage(ctx, tag)
		if errors.Is(err, orchestrator.ErrConflict) {
			return fmt.Errorf("remove the contexts in %s first: %w", name, err)
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.stdout, "removed", tag); err != nil {
			return err
		}
	}
	return nil
}
