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

// checkImages refuses to start without the default language's image, or without any. Further ones that are missing are
// a warning: contexts in them fail with the same words until somebody builds them.
func checkImages(ctx context.Context, finder orchestrator.Images, chosen []choice, log *slog.Logger) error {
	var unbuilt, names []string
	var gone []error // of languages that were added, each with its remedy
	for _, l := range chosen {
		_, err := finder.Image(ctx, l.Name)
		switch {
		case err == nil:
			continue
		case !errors.Is(err, orchestrator.ErrImageMissing), l.Name == orchestrator.DefaultLanguage,
			len(unbuilt)+len(gone)+1 == len(chosen):
			return fmt.Errorf("image of %s: %w", l.Name, err)
		case l.image == "":
			gone = append(gone, err)
		default:
			unbuilt, names = append(unbuilt, l.image), append(names, l.Name)
		}
	}
	if len(unbuilt) > 0 {
		log.Warn("languages cannot be used before their images are built", "languages", strings.Join(names, ", "),
			"remedy", "cubby images build "+strings.Join(unbuilt, " "))
	}
	if len(gone) > 0 {
		log.Warn("languages cannot be used", "error", errors.Join(gone...))
	}
	return nil
}

// try boots an image once, as a context has it, and returns the version of its interpreter. The error is images.ErrUnfit
// where the image is at fault, and not the engine, or whoever interrupts.
func (a *app) try(ctx context.Context, e engine, info docker.Info, tag string) (string, error) {
	image, err := e.ImageID(ctx, tag)
	if err != nil {
		return "", err
	}
	version, err := orchestrator.TryImage(ctx, e, image, orchestrator.DefaultLimits(), uidsOf(info))
	if errors.Is(err, orchestrator.ErrNoBoot) || errors.Is(err, orchestrator.ErrInvalid) {
		err = fmt.Errorf("%w: %w", images.ErrUnfit, err)
	}
	return cmp.Or(version, "(of no version)"), err
}
