package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	units "github.com/docker/go-units"
	"github.com/spf13/cobra"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

func (a *app) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Build, add, list and remove the images of the languages",
		Example: `  cubby images build
  cubby images build python
  cubby images add ruby --dockerfile ./ruby
  cubby images ls`,
	}
	return group(cmd, a.imagesBuild(), a.imagesAdd(), a.imagesList(), a.imagesRemove())
}

func (a *app) imagesBuild() *cobra.Command {
	var o images.BuildOptions
	cmd := &cobra.Command{
		Use:   "build [IMAGE…]",
		Short: "Build the images that the engine does not have yet",
		Long: `Build the images that the engine does not have yet, of the named languages or of all, for the engine's architecture.
Each is started once: one whose kernel does not boot is removed again. Proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and
this machine's certificates are used for the time of the build; nothing of them stays in an image.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e engine) error {
				info, err := e.Info(cmd.Context())
				if err != nil {
					return err
				}
				o.Images = args
				if err := a.complete(&o, e, info); err != nil {
					return err
				}
				return images.Build(cmd.Context(), buildEngine{e}, o)
			})
		},
	}
	cmd.Flags().StringVar(&o.Base, "base", "", "Debian trixie image to build on (default: debian:trixie-slim, or one made here)")
	cmd.Flags().BoolVar(&o.Force, "force", false, "build what is there already, too")
	return cmd
}

// complete fills in what a build takes from this machine and from the engine.
func (a *app) complete(o *images.BuildOptions, e engine, info docker.Info) (err error) {
	o.Proxies, o.Progress = a.proxies(), visible(a.stderr, a.stderrTerminal)
	o.Try = func(ctx context.Context, tag string) (string, error) { return a.try(ctx, e, info, tag) }
	o.CA, err = images.HostCA()
	return err
}

// withEngine calls f with the engine.
func (a *app) withEngine(ctx context.Context, f func(e engine) error) error {
	e, err := a.connect(ctx, toolInstance, a.logger())
	if err != nil {
		return err
	}
	return errors.Join(f(e), e.Close())
}

// proxies returns the proxies of the environment, as other programs read them.
func (a *app) proxies() images.Proxies {
	either := func(name string) string {
		if value := a.env(strings.ToLower(name)); value != "" {
			return value
		}
		return a.env(name)
	}
	return images.Proxies{HTTP: either("HTTP_PROXY"), HTTPS: either("HTTPS_PROXY"), No: either("NO_PROXY")}
}

func (a *app) imagesList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the images of the languages: current or not, size, age",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEngine(cmd.Context(), func(e engine) error {
				list, err := a.listImages(cmd.Context(), e)
				if err != nil {
					return err
				}
				out := visible(a.stdout, a.stdoutTerminal)
				if asJSON {
					return printJSON(out, list)
				}
				return printTable(out, imageRows(list, time.Now()))
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listedImage is one line of images ls. A language without any image is one that is missing.
type listedImage struct {
	Language  string    `json:"language"` // the image's name: the language, or one of several images of it
	Tag       string    `json:"tag"`
	Packages  bool      `json:"packages,omitempty"` // only the packages, on which the language's image is built
	Added     bool      `json:"added,omitempty"`    // of a language that was added
	Status    string    `json:"status"`             // current, old or missing
	ID        string    `json:"id,omitempty"`
	SizeBytes int64     `json:"size_bytes,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// The statuses of a listed image.
const (
	imageCurrent = "current"
	imageOld     = "old"
	imageMissing = "missing"
)

// listImages returns the images of all languages: those that are there, and those that should be.
func (a *app) listImages(ctx context.Context, e engine) ([]listedImage, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return nil, err
	}
	built, err := e.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	there, err := a.catalogOf(built, info.Architecture)
	if err != nil {
		return nil, err
	}
	folders, err := images.Folders()
	if err != nil {
		return nil, err
	}
	var wanted []currentTags
	for _, folder := range folders {
		tag, err := a.tag(folder, info.Architecture)
		if err != nil {
			return nil, err
		}
		packages, err := images.PackagesTag(folder)
		if err != nil {
			return nil, err
		}
		usual := slices.ContainsFunc(there.own, func(l orchestrator.Language) bool { return l.Name == folder })
		wanted = append(wanted, currentTags{image: folder, tag: tag, packages: packages, usual: usual})
	}
	for _, l := range there.others() {
		if image := there.current(l.Name); image != nil {
			wanted = append(wanted, currentTags{image: l.Name, tag: image.Tag, packages: image.packages})
		}
	}
	list := sortImages(wanted, built)
	for i := range list {
		list[i].Added = slices.ContainsFunc(there.added, func(image addedImage) bool { return image.language.Name == list[i].Language })
	}
	return list, nil
}

// currentTags are the tags of an image and its packages as long as they are current.
type currentTags struct {
	image    string // its name
	tag      string
	packages string // how the tag begins
	usual    bool   // a language is missing without it
}

// sortImages says of every image that was built whether it is current, and which are missing. Packages are never
// missing: they are there for the next build.
func sortImages(wanted []currentTags, built []docker.BuiltImage) []listedImage {
	var list []listedImage
	for _, image := range built {
		name, _, _ := strings.Cut(image.Tag, ":")
		name, ok := strings.CutPrefix(name, "cubby-")
		if !ok || name == "base" {
			continue
		}
		name, packages := strings.CutSuffix(name, "-packages")
		status := imageOld
		if slices.ContainsFunc(wanted, func(w currentTags) bool {
			return image.Tag == w.tag || packages && strings.HasPrefix(image.Tag, w.packages)
		}) {
			status = imageCurrent
		}
		list = append(list, listedImage{
			Language: name, Tag: image.Tag, Packages: packages, Status: status,
			ID: image.ID, SizeBytes: image.SizeBytes, CreatedAt: image.CreatedAt.UTC(),
		})
	}
	for _, w := range wanted {
		if w.usual && !slices.ContainsFunc(list, func(l listedImage) bool { return l.Tag == w.tag }) {
			list = append(list, listedImage{Language: w.image, Tag: w.tag, Status: imageMissing})
		}
	}
	slices.SortFunc(list, func(a, b listedImage) int {
		return strings.Compare(a.Language+a.Status+a.Tag, b.Language+b.Status+b.Tag)
	})
	return list
}

// imageRows returns the table of images.
func imageRows(list []listedImage, now time.Time) [][]string {
	rows := [][]string{{"LANGUAGE", "TAG", "STATUS", "SIZE", "AGE"}}
	for _, image := range list {
		size, age, status := "-", "-", image.Status
		if status != imageMissing {
			size, age = units.HumanSize(float64(image.SizeBytes)), units.HumanDuration(now.Sub(image.CreatedAt))
		}
		if image.Added {
			status += ", added"
		}
		rows = append(rows, []string{image.Language, image.Tag, status, size, age})
	}
	return rows
}
