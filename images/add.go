package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The labels of an image of a language, beside that by which an engine knows what cubby made. Those after the first are on
// images that somebody has added.
const (
	// LabelLanguage is the language's name.
	LabelLanguage = "cubby.language"
	// LabelAliases are its aliases, separated by commas.
	LabelAliases = "cubby.aliases"
	// LabelExtensions are its files' extensions, separated by commas.
	LabelExtensions = "cubby.extensions"
	// LabelAdded is when the image was added; of several images of a language the latest is meant.
	LabelAdded = "cubby.added"
	// LabelSupervisor is the digest of the supervisor in it (SupervisorDigest).
	LabelSupervisor = "cubby.supervisor"
	// LabelPackages is the image that it was built on.
	LabelPackages = "cubby.packages"
)

// addedLayout is how LabelAdded is written: in UTC, so that texts sort as times do.
const addedLayout = "2006-01-02T15:04:05.000000000Z"

// AddOptions say what language to add: from a folder, or from an image.
type AddOptions struct {
	BuildOptions
	Name       string     // the language's
	Dir        string     // a folder with a Dockerfile, language.json and what is called driver…
	Image      string     // an image with a kernel for Jupyter, or with a language.json and a driver in /opt/cubby
	Kernelspec string     // which of the image's kernels; empty: the only one
	Others     []Language // that were added; one of the same name is replaced
}

// Added is a language that was added.
type Added struct {
	Language
	Tag     string
	Version string // of its interpreter
}

// Add makes a user's own image one of a language: the supervisor, language.json and the driver come on top. The language
// may not have a name or an alias of ours or of the Others. What was built goes again when it is ErrUnfit.
func Add(ctx context.Context, engine Engine, options AddOptions) (Added, error) {
	b := newBuilder(engine, options.BuildOptions)
	return b.add(ctx, options, time.Now())
}

// ground is what a language's own layer is put on.
type ground struct {
	image    string // its tag
	language []byte // language.json
	driver   []file // what comes into /opt/cubby beside it
}

func (b *builder) add(ctx context.Context, o AddOptions, now time.Time) (Added, error) {
	if err := b.checkName(o.Name, o.Others); err != nil {
		return Added{}, err
	}
	arch, err := b.engine.Architecture(ctx)
	if err != nil {
		return Added{}, fmt.Errorf("ask the engine for its architecture: %w", err)
	}
	supervisor, err := b.tree.supervisor(arch)
	if err != nil {
		return Added{}, err
	}
	prepare := b.fromImage
	if o.Dir != "" {
		prepare = func(ctx context.Context, o AddOptions) (ground, error) { return b.fromFolder(ctx, o, arch) }
	}
	on, err := prepare(ctx, o)
	if err != nil {
		return Added{}, err
	}
	language, err := b.readLanguage(on.language, o)
	if err != nil {
		return Added{}, err
	}
	id, err := b.engine.ImageID(ctx, on.image)
	if err != nil {
		return Added{}, err
	}
	files := append(slices.Clone(on.driver), file{name: "language.json", mode: 0o644, content: on.language})
	files = ownLayer(files, supervisor)
	tag := fmt.Sprintf("cubby-%s:%s", language.Name, digest(append(files, file{name: "packages", content: []byte(id)})))
	b.say("building %s on %s", tag, on.image)
	err = b.build(ctx, ImageBuild{
		Tag: tag, Dockerfile: ownDockerfile, Args: map[string]string{"PACKAGES": on.image},
		Labels: map[string]string{
			LabelLanguage: language.Name, LabelAliases: strings.Join(language.Aliases, ","),
			LabelExtensions: strings.Join(language.Extensions, ","), LabelPackages: on.image,
			LabelAdded: now.UTC().Format(addedLayout), LabelSupervisor: digestOf(supervisor),
		},
	}, files)
	if err != nil {
		return Added{}, err
	}
	version, err := b.try(ctx, language.Name, tag)
	return Added{Language: language, Tag: tag, Version: version}, err
}

// ownDockerfile is the name, in a build context, of the Dockerfile of a language's own layer.
const ownDockerfile = "Dockerfile.driver"

// ownLayer returns the build context of the layer that makes an image one of a language: what goes into /opt/cubby, the
// links by which the user has a name, and the supervisor. Nothing is run in it: the image may be without a shell.
func ownLayer(files []file, supervisor []byte) []file {
	layer := []file{
		{name: ownDockerfile, mode: 0o644, content: []byte(
			"ARG PACKAGES\nFROM ${PACKAGES}\nCOPY etc/ /etc/\nCOPY cubby/ /opt/cubby/\nCOPY supervisor /opt/cubby/supervisor\n")},
		{name: "etc/passwd", link: "/run/passwd"},
		{name: "etc/group", link: "/run/group"},
		{name: "supervisor", mode: 0o755, content: supervisor},
	}
	for _, f := range files {
		f.name = path.Join("cubby", f.name)
		layer = append(layer, f)
	}
	return layer
}

// nameShape is what a language can be called: it is part of an image's name and of command lines.
var nameShape = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)

// checkName refuses a name that no image can have, or that is taken.
func (b *builder) checkName(name string, others []Language) error {
	switch {
	case !nameShape.MatchString(name) || len(name) > 64:
		return fmt.Errorf("%q cannot be a language's name: take small letters and digits, as in ruby", name)
	case name == "base" || strings.HasSuffix(name, "-packages"):
		return fmt.Errorf("%q cannot be a language's name: images of cubby's own are called so", name)
	}
	if f, err := b.tree.folder(name); err == nil {
		return fmt.Errorf("%q is %s, which cubby brings along: take another name", name, f.language.Name)
	} else if !errors.Is(err, ErrUnknownLanguage) {
		return err
	}
	for _, other := range others {
		if other.Name != name && slices.Contains(other.Aliases, name) {
			return fmt.Errorf("%q is an alias of %s, which was added: take another name, or remove that (cubby images rm %s)",
				name, other.Name, other.Name)
		}
	}
	return nil
}

// readLanguage reads a language.json as far as it concerns the name; the rest is the supervisor's to judge.
func (b *builder) readLanguage(raw []byte, o AddOptions) (Language, error) {
	var language Language
	if err := json.Unmarshal(raw, &language); err != nil {
		return language, fmt.Errorf("read the language.json of %s: %w", o.Name, err)
	}
	if language.Name != o.Name {
		return language, fmt.Errorf("the language of language.json is %q and not %q: let both be the same", language.Name, o.Name)
	}
	others := slices.DeleteFunc(slices.Clone(o.Others), func(l Language) bool { return l.Name == o.Name })
	for _, alias := range language.Aliases {
		if err := b.checkName(alias, others); err != nil {
			return language, fmt.Errorf("alias of %s: %w", o.Name, err)
		}
		if slices.ContainsFunc(others, func(l Language) bool { return l.Name == alias }) {
			return language, fmt.Errorf("alias of %s: %q is a language that was added: take another alias", o.Name, alias)
		}
	}
	for _, extension := range language.Extensions {
		if err := b.checkExtension(extension, others); err != nil {
			return language, fmt.Errorf("extension of %s: %w", o.Name, err)
		}
	}
	return language, nil
}

// extensionShape is what an extension looks like. Files are compared in small letters.
var extensionShape = regexp.MustCompile(`^\.[a-z0-9]+$`)

// checkExtension refuses an extension that no file has, or that is another language's.
func (b *builder) checkExtension(extension string, others []Language) error {
	if !extensionShape.MatchString(extension) {
		return fmt.Errorf("%q is none: take a dot, small letters and digits, as in .rb", extension)
	}
	ours, err := b.tree.languages()
	if err != nil {
		return err
	}
	for _, other := range slices.Concat(ours, others) {
		if slices.Contains(other.Extensions, extension) {
			return fmt.Errorf("files %s are %s: leave it out", extension, other.Name)
		}
	}
	return nil
}

// try looks whether a new image boots, and removes one that does not: nobody could use it. One that could not be tried
// stays: its tag may be that of an image which was in use before.
func (b *builder) try(ctx context.Context, name, tag string) (version string, err error) {
	if b.options.Try == nil {
		return "", nil
	}
	b.say("booting %s", tag)
	if version, err = b.options.Try(ctx, tag); err == nil {
		b.say("%s %s boots", name, version)
		return version, nil
	}
	if !errors.Is(err, ErrUnfit) {
		return "", fmt.Errorf("%s was built and stays, but could not be tried: %w", tag, err)
	}
	err = fmt.Errorf("%s was built and is removed again: %w", tag, err)
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), pruneTimeout)
	defer cancel()
	return "", errors.Join(err, b.engine.RemoveImage(cleaning, tag))
}
