package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxFolder bounds the files of a user's folder, which are held in memory.
const maxFolder = 256 << 20

// wantsBase matches a Dockerfile that is built on the base that we find.
var wantsBase = regexp.MustCompile(`(?im)^\s*ARG\s+BASE\b`)

// fromFolder builds the packages of a user's folder, unless the engine has them: the Dockerfile sees all of the folder
// but the driver and language.json, so that a change of these takes a second.
func (b *builder) fromFolder(ctx context.Context, o AddOptions, arch string) (ground, error) {
	files, err := readFolder(o.Dir)
	if err != nil {
		return ground{}, err
	}
	var g ground
	var packages []file
	var dockerfile []byte
	for _, f := range files {
		switch {
		case f.name == "language.json":
			g.language = f.content
		case strings.HasPrefix(f.name, "driver"):
			g.driver = append(g.driver, f)
		default:
			packages = append(packages, f)
		}
		if f.name == "Dockerfile" {
			dockerfile = f.content
		}
	}
	if g.language == nil || dockerfile == nil {
		return ground{}, fmt.Errorf("%s lacks a Dockerfile or a language.json", o.Dir)
	}
	if _, err := b.readLanguage(g.language, o); err != nil { // before anything takes long
		return ground{}, err
	}
	g.image = fmt.Sprintf("cubby-%s-packages:%s", o.Name, digest(packages))
	if wantsBase.Match(dockerfile) {
		if b.base, err = b.findBase(ctx, arch); err != nil {
			return ground{}, err
		}
		id, err := b.engine.ImageID(ctx, b.base)
		if err != nil {
			return ground{}, err
		}
		g.image += fmt.Sprintf("-%.12s", strings.TrimPrefix(id, "sha256:"))
	}
	found, err := b.engine.ImageID(ctx, g.image)
	if err != nil || found != "" && !b.options.Force {
		return g, err
	}
	b.say("building %s", g.image)
	return g, b.fetch(ctx, g.image, packages)
}

// readFolder returns the files of a folder, with their modes.
func readFolder(dir string) ([]file, error) {
	root := os.DirFS(dir)
	var files []file
	size := 0
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a folder: leave it out", name)
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if size += len(content); size > maxFolder {
			return fmt.Errorf("the files have more than %d MiB: let the Dockerfile fetch what is large", maxFolder>>20)
		}
		files = append(files, file{name: name, mode: int64(info.Mode().Perm()), content: content})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the folder %s: %w", dir, err)
	}
	return files, nil
}

// languageFolder is where an image has what makes it one of a language.
const languageFolder = "/opt/cubby"

// kernelFolders are the places where images have their kernelspecs: Debian's packages, pip, conda and a virtual
// environment.
var kernelFolders = []string{
	"/usr/share/jupyter/kernels", "/usr/local/share/jupyter/kernels", "/opt/conda/share/jupyter/kernels",
	"/opt/venv/share/jupyter/kernels",
}

// fromImage looks into a user's image, which is pulled if the engine does not have it: for a language.json, else for a
// kernel of Jupyter.
func (b *builder) fromImage(ctx context.Context, o AddOptions) (ground, error) {
	id, err := b.engine.ImageID(ctx, o.Image)
	if err != nil {
		return ground{}, err
	}
	if id == "" {
		b.say("pulling %s", o.Image)
		if err := b.pull(ctx, o.Image); err != nil {
			return ground{}, fmt.Errorf("find the image %s: the engine does not have it, and: %w", o.Image, err)
		}
	}
	g := ground{image: o.Image}
	if o.Kernelspec == "" {
		files, err := b.engine.ImageFiles(ctx, o.Image, languageFolder)
		if err != nil {
			return ground{}, err
		}
		if g.language = files["language.json"]; g.language != nil {
			return g, nil
		}
	}
	spec, err := b.findKernelspec(ctx, o)
	if err != nil {
		return ground{}, err
	}
	g.language, err = json.Marshal(map[string]string{"name": o.Name, "adapter": "jupyter", "kernelspec": spec})
	if err != nil {
		return ground{}, fmt.Errorf("write the language.json of %s: %w", o.Name, err)
	}
	return g, nil
}

// findKernelspec returns the kernelspec that was asked for, or the only one.
func (b *builder) findKernelspec(ctx context.Context, o AddOptions) (string, error) {
	found := map[string]bool{}
	for _, folder := range kernelFolders {
		files, err := b.engine.ImageFiles(ctx, o.Image, folder)
		if err != nil {
			return "", err
		}
		for name := range files {
			if path.Base(name) == "kernel.json" {
				found[path.Dir(name)] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(found))
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("%s has neither /opt/cubby/language.json nor a kernel of Jupyter (in %s)",
			o.Image, strings.Join(kernelFolders, ", "))
	case o.Kernelspec == "" && len(names) == 1:
		return names[0], nil
	case o.Kernelspec == "":
		return "", fmt.Errorf("%s has several kernels: name one of %s with --kernelspec", o.Image, strings.Join(names, ", "))
	case !found[o.Kernelspec]:
		return "", fmt.Errorf("%s has no kernel %q: it has %s", o.Image, o.Kernelspec, strings.Join(names, ", "))
	}
	return o.Kernelspec, nil
}
