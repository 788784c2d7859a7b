package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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
	built, err := e.ListImages(ctx)
	if err != nil {
		return catalog{}, err
	}
	return a.catalogOf(built, arch)
}

// addedLanguage returns the language that an image was added as. Not ok: it is ours, or has inherited the labels of
// another.
func addedLanguage(image docker.BuiltImage) (language string, ok bool) {
	language = image.Labels[images.LabelLanguage]
	name, _, _ := strings.Cut(image.Tag, ":")
	return language, image.Labels[images.LabelAdded] != "" && name == "cubby-"+language
}

// catalogOf sorts the images of an engine of an architecture.
func (a *app) catalogOf(built []docker.BuiltImage, arch string) (catalog, error) {
	own, err := ownLanguages()
	if err != nil {
		return catalog{}, err
	}
	c := catalog{own: own}
	for _, image := range built {
		name, added := addedLanguage(image)
		l := orchestrator.Language{Name: name}
		if _, taken := orchestrator.LookupLanguage(own, l.Name); !added || taken == nil {
			continue
		}
		if aliases := image.Labels[images.LabelAliases]; aliases != "" {
			l.Aliases = strings.Split(aliases, ",")
		}
		if extensions := image.Labels[images.LabelExtensions]; extensions != "" {
			l.Extensions = strings.Split(extensions, ",")
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
		if err != nil {
			return choice{}, err
		}
		if of.Name != l.Name {
			return choice{}, fmt.Errorf("image %s is of %s and not of %s", image, of.Name, l.Name)
		}
		folder, err := images.Folder(image)
		return choice{l, folder}, err
	case image != "":
		return choice{}, fmt.Errorf("%s was added, and has the image that was added: name it without =%s", l.Name, image)
	}
	return choice{l, ""}, nil
}

// languageOf returns the language of a file by its extension; empty: there is none with that.
func (c catalog) languageOf(path string) string {
	extension := strings.ToLower(filepath.Ext(path))
	for _, l := range slices.Concat(c.own, c.others()) {
		if slices.Contains(l.Extensions, extension) {
			return l.Name
		}
	}
	return ""
}
