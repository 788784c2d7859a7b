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
	"cubby/orchestrator/docker"
)

func (a *app) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Build and list the images of the languages",
		Example: `  cubby images build
  cubby images build python
  cubby images ls`,
	}
	return group(cmd, a.imagesBuild(), a.imagesList())
}

func (a *app) imagesBuild() *cobra.Command {
	var base string
	var force bool
	cmd := &cobra.Command{
		Use:   "build [IMAGE…]",
		Short: "Build the images that the engine does not have yet",
		Long: `Build the images that the engine does not have yet, of the named languages or of all, for the engine's architecture.
Proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and this machine's certificates are used for the time of the build; nothing
of them stays in an image.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e engine) error {
				ca, err := images.HostCA()
				if err != nil {
					return err
				}
				return images.Build(cmd.Context(), buildEngine{e}, images.BuildOptions{
					Images: args, Base: base, CA: ca, Proxies: a.proxies(), Force: force, Progress: a.stderr,
				})
			})
		},
	}
	cmd.Flags().StringVar(&base, "base", "", "Debian trixie image to build on (default: debian:trixie-slim, or one made here)")
	cmd.Flags().BoolVar(&force, "force", false, "build what is there already, too")
	return cmd
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
	Language  string    `json:"language"`
	Tag       string    `json:"tag"`
	Packages  bool      `json:"packages,omitempty"` // only the packages, on which the language's image is built
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
	all, err := languages()
	if err != nil {
		return nil, err
	}
	var wanted []currentTags
	for _, l := range all {
		tag, err := a.tag(l.Name, info.Architecture)
		if err != nil {
			return nil, err
		}
		packages, err := images.PackagesTag(l.Name)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, currentTags{l.Name, tag, packages})
	}
	return sortImages(wanted, built), nil
}

// currentTags are the tags of a language's images as long as they are current.
type currentTags struct {
	language string
	image    string
	packages string // how the tag begins
}

// sortImages says of every image that was built whether it is current, and which are missing. Packages are never
// missing: they are there for the next build.
func sortImages(wanted []currentTags, built []docker.BuiltImage) []listedImage {
	var list []listedImage
	for _, image := range built {
		name, _, _ := strings.Cut(image.Tag, ":")
		language, ok := strings.CutPrefix(name, "cubby-")
		if !ok || language == "base" {
			continue
		}
		language, packages := strings.CutSuffix(language, "-packages")
		status := imageOld
		if slices.ContainsFunc(wanted, func(w currentTags) bool {
			return image.Tag == w.image || packages && strings.HasPrefix(image.Tag, w.packages)
		}) {
			status = imageCurrent
		}
		list = append(list, listedImage{
			Language: language, Tag: image.Tag, Packages: packages, Status: status,
			ID: image.ID, SizeBytes: image.SizeBytes, CreatedAt: image.CreatedAt.UTC(),
		})
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(list, func(l listedImage) bool { return l.Tag == w.image }) {
			list = append(list, listedImage{Language: w.language, Tag: w.image, Status: imageMissing})
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
		size, age := "-", "-"
		if image.Status != imageMissing {
			size, age = units.HumanSize(float64(image.SizeBytes)), units.HumanDuration(now.Sub(image.CreatedAt))
		}
		rows = append(rows, []string{image.Language, image.Tag, image.Status, size, age})
	}
	return rows
}
