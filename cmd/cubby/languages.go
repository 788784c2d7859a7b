package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"cubby/images"
	"cubby/orchestrator"
)

// languages returns all languages of this program.
func languages() ([]orchestrator.Language, error) {
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

// selected returns the named languages, each once.
func selected(names []string) ([]orchestrator.Language, error) {
	all, err := languages()
	if err != nil {
		return nil, err
	}
	var chosen []orchestrator.Language
	for _, name := range names {
		normal, err := orchestrator.LookupLanguage(all, name)
		if err != nil {
			return nil, err
		}
		is := func(l orchestrator.Language) bool { return l.Name == normal }
		if !slices.ContainsFunc(chosen, is) {
			chosen = append(chosen, all[slices.IndexFunc(all, is)])
		}
	}
	return chosen, nil
}

// noContexts as the only name of default contexts means that there are none.
const noContexts = "none"

// defaultContexts returns the normalised names of the named languages, without those that were not chosen.
func defaultContexts(names []string, chosen []orchestrator.Language) ([]string, error) {
	if slices.Equal(names, []string{noContexts}) {
		return nil, nil
	}
	wanted, err := selected(names)
	if err != nil {
		return nil, err
	}
	var present []string
	for _, l := range wanted {
		if slices.ContainsFunc(chosen, func(c orchestrator.Language) bool { return c.Name == l.Name }) {
			present = append(present, l.Name)
		}
	}
	return present, nil
}

// languageImages finds the images of languages on an engine, and keeps to what it has found: a tag that is moved to
// another image changes nothing for as long as the first one is there. It is an orchestrator.Images.
type languageImages struct {
	engine engine
	arch   string // the engine's
	tag    func(language, arch string) (string, error)

	mu    sync.Mutex
	found map[string]orchestrator.Image // by language
}

var _ orchestrator.Images = (*languageImages)(nil)

func (a *app) languageImages(e engine, arch string) *languageImages {
	return &languageImages{engine: e, arch: arch, tag: a.tag, found: map[string]orchestrator.Image{}}
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
	tag, err := l.tag(language, l.arch)
	if err != nil {
		return orchestrator.Image{}, err
	}
	image, err = l.engine.ImageID(ctx, tag)
	if errors.Is(err, orchestrator.ErrImageMissing) {
		return image, fmt.Errorf("%w: the engine does not have %s; build it with: cubby images build %s",
			orchestrator.ErrImageMissing, tag, language)
	}
	if err == nil {
		l.mu.Lock()
		l.found[language] = image
		l.mu.Unlock()
	}
	return image, err
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
			return err
		}
		log.Warn("image missing", "language", l.Name, "build", "cubby images build "+l.Name)
	}
	return nil
}
