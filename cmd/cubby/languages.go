package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// catalog is what languages there are: those that this program brings along, and those that somebody has added to the
// engine, by the images that are there.
type catalog struct {
	own   []orchestrator.Language
	added []addedImage // the latest first; several can be of one language
}

// addedImage is an image that was added to the engine.
type addedImage struct {
	docker.BuiltImage
	language orchestrator.Language
	when     string
	packages string // the image that it is built on
	fits     bool   // it holds the supervisor of this program
}

// ownLanguages returns the languages that this program brings along.
func ownLanguages() ([]orchestrator.Language, error) {
	known, err := images.Languages()
	if err != nil {
		return nil, err
	}
	all := make([]orchestrator.Language, 0, len(known))
	for _, l := range known {
		all = append(all, orchestrator.Language(l))
	}
	return all, nil
}

// catalog looks for what was added to an engine of an architecture.
func (a *app) catalog(ctx context.Context, e engine, arch string) (catalog, error) {
	own, err := ownLanguages()
	if err != nil {
		return catalog{}, err
	}
	built, err := e.ListImages(ctx)
	if err != nil {
		return catalog{}, err
	}
	c := catalog{own: own}
	for _, image := range built {
		l := orchestrator.Language{Name: image.Labels[images.LabelLanguage]}
		name, _, _ := strings.Cut(image.Tag, ":")
		_, taken := orchestrator.LookupLanguage(own, l.Name)
		if image.Labels[images.LabelAdded] == "" || name != "cubby-"+l.Name || taken == nil {
			continue // ours, or one that has inherited the labels of another
		}
		if aliases := image.Labels[images.LabelAliases]; aliases != "" {
			l.Aliases = strings.Split(aliases, ",")
		}
		digest, err := a.supervisor(arch)
		if err != nil {
			return catalog{}, err
		}
		c.added = append(c.added, addedImage{
			BuiltImage: image, language: l, when: image.Labels[images.LabelAdded],
			packages: image.Labels[images.LabelPackages], fits: image.Labels[images.LabelSupervisor] == digest,
		})
	}
	slices.SortFunc(c.added, func(a, b addedImage) int { return strings.Compare(b.when, a.when) })
	return c, nil
}

// current returns the image of an added language that contexts start from; nil: none fits.
func (c catalog) current(language string) *addedImage {
	for i, image := range c.added {
		if image.language.Name == language && image.fits {
			return &c.added[i]
		}
	}
	return nil
}

// others returns the added languages, each once.
func (c catalog) others() []orchestrator.Language {
	var languages []orchestrator.Language
	for _, image := range c.added {
		if !slices.ContainsFunc(languages, func(l orchestrator.Language) bool { return l.Name == image.language.Name }) {
			languages = append(languages, image.language)
		}
	}
	return languages
}

// choice is a language that contexts can have, with its image.
type choice struct {
	orchestrator.Language
	image string // a folder of package images; empty: the image that was added last
}

// languagesOf returns the languages of choices.
func languagesOf(chosen []choice) []orchestrator.Language {
	languages := make([]orchestrator.Language, 0, len(chosen))
	for _, c := range chosen {
		languages = append(languages, c.Language)
	}
	return languages
}

// choose returns the languages that are named, each once, as LANGUAGE or LANGUAGE=IMAGE. Without names it is all that
// this program brings along.
func (c catalog) choose(names []string) ([]choice, error) {
	var chosen []choice
	if len(names) == 0 {
		for _, l := range c.own {
			chosen = append(chosen, choice{l, l.Name})
		}
		return chosen, nil
	}
	for _, name := range names {
		name, image, _ := strings.Cut(name, "=")
		one, err := c.find(name, image)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(chosen, func(other choice) bool { return other.Name == one.Name })
		switch {
		case at < 0:
			chosen = append(chosen, one)
		case chosen[at].image != one.image:
			return nil, fmt.Errorf("%s is to have the images %s and %s: name one", one.Name, chosen[at].image, one.image)
		}
	}
	return chosen, nil
}

// find returns a language with its image, or with the one that is named.
func (c catalog) find(name, image string) (choice, error) {
	all := slices.Concat(c.own, c.others())
	normal, err := orchestrator.LookupLanguage(all, name)
	if err != nil {
		return choice{}, fmt.Errorf("%w; one of your own is added with: cubby images add", err)
	}
	l := all[slices.IndexFunc(all, func(l orchestrator.Language) bool { return l.Name == normal })]
	own := slices.ContainsFunc(c.own, func(l orchestrator.Language) bool { return l.Name == normal })
	switch {
	case own && image == "":
		return choice{l, l.Name}, nil
	case own:
		of, err := images.Lookup(image)
		if err == nil && of.Name != l.Name {
			err = fmt.Errorf("image %s is of %s and not of %s", image, of.Name, l.Name)
		}
		return choice{l, image}, err
	case image != "":
		return choice{}, fmt.Errorf("%s was added, and has the image that was added: name it without =%s", l.Name, image)
	}
	return choice{l, ""}, nil
}

// languageImages finds the images of languages on an engine, and keeps to what it has found: a tag that is moved to
// another image changes nothing for as long as the first one is there. It is an orchestrator.Images.
type languageImages struct {
	engine engine
	chosen []choice
	tag    func(image string) (string, error)         // of an image of ours
	look   func(ctx context.Context) (catalog, error) // for what was added

	mu    sync.Mutex
	found map[string]orchestrator.Image // by language
}

var _ orchestrator.Images = (*languageImages)(nil)

func (a *app) languageImages(e engine, arch string, chosen []choice) *languageImages {
	return &languageImages{
		engine: e, chosen: chosen, found: map[string]orchestrator.Image{},
		tag:  func(image string) (string, error) { return a.tag(image, arch) },
		look: func(ctx context.Context) (catalog, error) { return a.catalog(ctx, e, arch) },
	}
}

// Image implements orchestrator.Images. The error for a missing image names the command that builds it.
func (l *languageImages) Image(ctx context.Context, language string) (orchestrator.Image, error) {
	l.mu.Lock()
	image, known := l.found[language]
	l.mu.Unlock()
	if known {
		_, err := l.engine.ImageID(ctx, image.ID)
		if !errors.Is(err, orchestrator.ErrImageMissing) {
			return image, err
		}
	}
	image, err := l.find(ctx, l.choice(language))
	if err == nil {
		l.mu.Lock()
		l.found[language] = image
		l.mu.Unlock()
	}
	return image, err
}

// choice returns a language that was chosen, or one of which there are contexts from when it was.
func (l *languageImages) choice(language string) choice {
	if at := slices.IndexFunc(l.chosen, func(c choice) bool { return c.Name == language }); at >= 0 {
		return l.chosen[at]
	}
	former := choice{Language: orchestrator.Language{Name: language}}
	if _, err := images.Lookup(language); err == nil {
		former.image = language
	}
	return former
}

// find looks for the image of a language on the engine.
func (l *languageImages) find(ctx context.Context, c choice) (orchestrator.Image, error) {
	if c.image == "" {
		there, err := l.look(ctx)
		if err != nil {
			return orchestrator.Image{}, err
		}
		if image := there.current(c.Name); image != nil {
			return image.Image, nil
		}
		return orchestrator.Image{}, fmt.Errorf("%w: %s; add it again: cubby images add %s …",
			orchestrator.ErrImageMissing, there.lack(c.Name), c.Name)
	}
	tag, err := l.tag(c.image)
	if err != nil {
		return orchestrator.Image{}, err
	}
	image, err := l.engine.ImageID(ctx, tag)
	if errors.Is(err, orchestrator.ErrImageMissing) {
		return image, fmt.Errorf("%w: the engine does not have %s; build it with: cubby images build %s",
			orchestrator.ErrImageMissing, tag, c.image)
	}
	return image, err
}

// lack says why an added language has no image to start from.
func (c catalog) lack(language string) string {
	for _, image := range c.added {
		if image.language.Name == language {
			return image.Tag + " holds the supervisor of another version of cubby"
		}
	}
	return "the engine has no image of " + language + " any more"
}

// checkImages refuses to start without the default language's image, or without any. A further one that is missing is
// a warning: contexts in it fail with the same words until somebody builds it.
func checkImages(ctx context.Context, finder orchestrator.Images, chosen []orchestrator.Language, log *slog.Logger) error {
	missing := 0
	for _, l := range chosen {
		_, err := finder.Image(ctx, l.Name)
		if err == nil {
			continue
		}
		missing++
		if !errors.Is(err, orchestrator.ErrImageMissing) || l.Name == orchestrator.DefaultLanguage || missing == len(chosen) {
			return fmt.Errorf("image of %s: %w", l.Name, err)
		}
		log.Warn("a language cannot be used", "language", l.Name, "error", err)
	}
	return nil
}

// selected returns what the named languages are on an engine, and where their images are found.
func (a *app) selected(ctx context.Context, e engine, arch string, names []string) ([]choice, *languageImages, error) {
	there, err := a.catalog(ctx, e, arch)
	if err != nil {
		return nil, nil, err
	}
	chosen, err := there.choose(names)
	if err != nil {
		return nil, nil, fmt.Errorf("languages: %w", err)
	}
	return chosen, a.languageImages(e, arch, chosen), nil
}

// try boots an image once, as a context has it, and returns the version of its interpreter.
func (a *app) try(ctx context.Context, e engine, info docker.Info, tag string) (string, error) {
	image, err := e.ImageID(ctx, tag)
	if err != nil {
		return "", err
	}
	version, err := orchestrator.TryImage(ctx, e, image, orchestrator.DefaultLimits(), uidsOf(info))
	return cmp.Or(version, "(of no version)"), err
}
