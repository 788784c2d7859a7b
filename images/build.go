package images

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Engine builds and keeps images. Its methods return by the end of ctx; what the engine says while it works goes to
// progress.
type Engine interface {
	// Architecture returns the architecture that the engine runs, as it names it.
	Architecture(ctx context.Context) (string, error)
	// ImageID returns the digest by which the engine knows an image; empty: the engine does not have it.
	ImageID(ctx context.Context, ref string) (string, error)
	// PullImage fetches an image from its registry.
	PullImage(ctx context.Context, ref string, progress io.Writer) error
	// ImportImage makes an image of a root file system; changes are Dockerfile instructions. When reading the archive
	// fails, there is no image.
	ImportImage(ctx context.Context, archive io.Reader, ref string, changes []string) error
	// BuildImage builds an image.
	BuildImage(ctx context.Context, build ImageBuild, progress io.Writer) error
	// RemoveImage removes an image. One that is not there is no error.
	RemoveImage(ctx context.Context, ref string) error
	// ImageFiles returns the files below a directory of an image, by their names there; none if it is no directory.
	ImageFiles(ctx context.Context, ref, dir string) (map[string][]byte, error)
	// PruneStages removes the dangling images that carry a label ("key" or "key=value") and are at least so old.
	PruneStages(ctx context.Context, label string, age time.Duration) error
}

// ImageBuild is one build of an image.
type ImageBuild struct {
	Tag        string
	Context    io.Reader         // a tar archive
	Dockerfile string            // its name in Context
	Args       map[string]string // build arguments; the predefined ones, the proxies, leave no trace in the image
	Labels     map[string]string // of the image, beside those of its Dockerfile
}

// BuildOptions say what to build. The zero value builds all languages that are not built yet.
type BuildOptions struct {
	Images   []string // folders, languages or aliases; empty: the usual image of every language
	Base     string   // the Debian trixie image to build on; empty: debian:trixie-slim from a registry, else one made here
	CA       []byte   // certificates in PEM that the stages which fetch packages trust beside the usual ones
	Proxies  Proxies  // for the time of the build
	Force    bool     // build what is there already, too
	Progress io.Writer

	// Try boots a new image once and returns its interpreter's version; nil: nobody looks. An image of which it says
	// ErrUnfit is removed again.
	Try func(ctx context.Context, tag string) (version string, err error)
}

// Proxies are the addresses of the proxies that the build's downloads go through. Empty: none.
type Proxies struct {
	HTTP  string
	HTTPS string
	No    string // hosts reached directly, separated by commas
}

// StageLabel marks the stages of a Dockerfile that are not the image: they hold what must not stay, such as ca.crt. Its
// value is random and one build's: builds at the same time leave each other's stages alone.
const StageLabel = "cubby.stage"

const (
	// pruneTimeout bounds the cleaning up after a build, which goes on when the build was cancelled.
	pruneTimeout = time.Minute
	// staleAge is the age of a stage that no build can be using any more: the build that made it was killed.
	staleAge = time.Hour
)

// Build builds the images of languages that the engine does not have yet. Certificates, proxies and the stages that
// used them stay in no image, also when Build fails. Errors are those of Tag and of the engine, and say what to do
// where no base image is to be had.
func Build(ctx context.Context, engine Engine, options BuildOptions) error {
	return newBuilder(engine, options).run(ctx)
}

// builder is one call of Build or Add.
type builder struct {
	engine    Engine
	tree      tree
	options   BuildOptions
	progress  io.Writer
	bootstrap func(ctx context.Context, arch string, progress io.Writer) (io.ReadCloser, error)
	patience  time.Duration // how long a registry may be silent

	base    string   // what to build on, once it is known
	fetched []string // the packages that it has built, which several images may have
}

func newBuilder(engine Engine, options BuildOptions) *builder {
	b := &builder{
		engine: engine, tree: embedded, options: options, progress: options.Progress,
		bootstrap: bootstrap, patience: registryPatience,
	}
	if b.progress == nil {
		b.progress = io.Discard
	}
	return b
}

func (b *builder) run(ctx context.Context) (err error) {
	arch, err := b.engine.Architecture(ctx)
	if err != nil {
		return fmt.Errorf("ask the engine for its architecture: %w", err)
	}
	names, err := b.images()
	if err != nil {
		return err
	}
	b.fetched = nil
	for _, name := range names {
		if err := b.image(ctx, name, arch); err != nil {
			return fmt.Errorf("build the image of %s: %w", name, err)
		}
	}
	return nil
}

// images returns the folders of what was asked for, each once.
func (b *builder) images() ([]string, error) {
	var names []string
	if len(b.options.Images) == 0 {
		all, err := b.tree.languages()
		if err != nil {
			return nil, err
		}
		for _, language := range all {
			names = append(names, language.Name)
		}
		return names, nil
	}
	for _, name := range b.options.Images {
		f, err := b.tree.folder(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names, nil
}

func (b *builder) image(ctx context.Context, name, arch string) error {
	tag, err := b.tree.tag(name, arch)
	if err != nil {
		return err
	}
	if !b.options.Force {
		found, err := b.engine.ImageID(ctx, tag)
		if err != nil {
			return err
		}
		if found != "" {
			b.say("%s: %s is there already", name, tag)
			return nil
		}
	}
	if b.base == "" {
		if b.base, err = b.findBase(ctx, arch); err != nil {
			return err
		}
	}
	f, err := b.tree.folder(name)
	if err != nil {
		return err
	}
	packages, err := b.packages(ctx, f)
	if err != nil {
		return err
	}
	files, err := b.tree.driver(f, arch)
	if err != nil {
		return err
	}
	b.say("building %s on %s", tag, packages)
	build := ImageBuild{
		Tag: tag, Dockerfile: "Dockerfile.driver", Args: map[string]string{"PACKAGES": packages},
		Labels: map[string]string{LabelLanguage: f.language.Name},
	}
	if err := b.build(ctx, build, files); err != nil {
		return err
	}
	_, err = b.try(ctx, name, tag)
	return err
}

// packages returns the tag of the image with a folder's packages, which it builds if it is not there. A base that was
// renewed makes other packages.
func (b *builder) packages(ctx context.Context, f folder) (string, error) {
	base, err := b.engine.ImageID(ctx, b.base)
	if err != nil {
		return "", err
	}
	if base == "" {
		return "", fmt.Errorf("the base image %s was removed meanwhile", b.base)
	}
	tag, err := b.tree.packagesTag(f.packages)
	if err != nil {
		return "", err
	}
	tag += fmt.Sprintf("%.12s", strings.TrimPrefix(base, "sha256:"))
	found, err := b.engine.ImageID(ctx, tag)
	if err != nil {
		return "", err
	}
	if found != "" && (!b.options.Force || slices.Contains(b.fetched, tag)) {
		return tag, nil
	}
	b.fetched = append(b.fetched, tag)
	files, err := filesOf(b.tree.packages, f.packages)
	if err != nil {
		return "", err
	}
	b.say("building %s on %s", tag, b.base)
	return tag, b.fetch(ctx, tag, files)
}

// caFile is the name, in a build context, of the certificates that stages trust.
const caFile = "ca.crt"

// wantsCA matches a Dockerfile that names them. Any other does not get them: it may copy all that there is.
var wantsCA = regexp.MustCompile(`(?m)(^|[^\w.-])ca\.crt($|[^\w.-])`)

// fetch builds an image whose stages see the certificates, if they name them, and prunes these stages however that ends; those of builds
// that were killed as well.
func (b *builder) fetch(ctx context.Context, tag string, files []file) (err error) {
	stage := rand.Text()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pruneTimeout)
		defer cancel()
		pruneErr := errors.Join(b.engine.PruneStages(ctx, StageLabel+"="+stage, 0), b.engine.PruneStages(ctx, StageLabel, staleAge))
		if pruneErr != nil {
			err = errors.Join(err, fmt.Errorf("remove the build's stages (docker image prune --filter label=%s does it): %w",
				StageLabel, pruneErr))
		}
	}()
	if slices.ContainsFunc(files, func(f file) bool { return f.name == "Dockerfile" && wantsCA.Match(f.content) }) {
		files = append(slices.Clone(files), file{name: caFile, mode: 0o644, content: b.options.CA})
	}
	args := map[string]string{"STAGE": stage}
	if b.base != "" {
		args["BASE"] = b.base
	}
	return b.build(ctx, ImageBuild{Tag: tag, Dockerfile: "Dockerfile", Args: args}, files)
}

// build builds one image of files.
func (b *builder) build(ctx context.Context, build ImageBuild, files []file) error {
	archive, err := buildContext(files)
	if err != nil {
		return err
	}
	build.Context = archive
	maps.Copy(build.Args, b.options.Proxies.args())
	start := time.Now()
	if err := b.engine.BuildImage(ctx, build, b.progress); err != nil {
		return err
	}
	b.say("built %s in %.0f s", build.Tag, time.Since(start).Seconds())
	return nil
}

// args returns the predefined build arguments. Programs differ in the case that they read.
func (p Proxies) args() map[string]string {
	args := map[string]string{}
	for name, value := range map[string]string{"http_proxy": p.HTTP, "https_proxy": p.HTTPS, "no_proxy": p.No} {
		if value != "" {
			args[name], args[strings.ToUpper(name)] = value, value
		}
	}
	return args
}

func (b *builder) say(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }
