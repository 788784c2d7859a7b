package images

import (
	"context"
	"encoding/json"
	"errors"
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
	g, packages, dockerfile := sortFolder(files)
	switch {
	case dockerfile == nil:
		return ground{}, fmt.Errorf("the folder %s has no Dockerfile", o.Dir)
	case g.language == nil:
		return ground{}, fmt.Errorf("the folder %s has no language.json", o.Dir)
	}
	if slices.ContainsFunc(packages, func(f file) bool { return f.name == caFile }) {
		return ground{}, fmt.Errorf("%s has a file %s, as which the Dockerfile finds this machine's certificates: give it another name",
			o.Dir, caFile)
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

// sortFolder sorts the files of a folder into what comes on top of the packages and what they are made of, in which the
// Dockerfile is.
func sortFolder(files []file) (g ground, packages []file, dockerfile []byte) {
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
	return g, packages, dockerfile
}

// readFolder returns the files of a folder, which everybody may read, whatever the umask has made of them: the kernel's
// uid is nobody's. Those that their owner may execute stay executable.
func readFolder(dir string) ([]file, error) {
	at, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no folder %s", dir)
	case err != nil:
		return nil, fmt.Errorf("read the folder: %w", err)
	case !at.IsDir():
		return nil, fmt.Errorf("%s is a file: name the folder that it is in", dir)
	}
	root := os.DirFS(dir)
	var files []file
	size := int64(0)
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
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
		if size += info.Size(); size > maxFolder {
			return fmt.Errorf("the files have more than %d MiB: let the Dockerfile fetch what is large", maxFolder>>20)
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		files = append(files, file{name: name, mode: mode, content: content})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the folder %s: %w", dir, err)
	}
	return files, nil
}

// languageFolder is where an image has what makes it one of a language.
const languageFolder = "/opt/cubby"

// kernelFolders are the places where images have their kernelspecs: pip, Debian's packages, conda and a virtual
// environment. Of two kernelspecs of one name the first is meant, as the supervisor has it (its jupyterDirs).
var kernelFolders = []string{
	"/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels", "/opt/conda/share/jupyter/kernels",
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
	spec, language, err := b.findKernelspec(ctx, o)
	if err != nil {
		return ground{}, err
	}
	g.language, err = json.Marshal(jupyterLanguage{
		Name: o.Name, Adapter: "jupyter", Kernelspec: spec, Code: kernelCodes[strings.ToLower(language)],
	})
	if err != nil {
		return ground{}, fmt.Errorf("write the language.json of %s: %w", o.Name, err)
	}
	return g, nil
}

// jupyterLanguage is the language.json of an image with a kernel for Jupyter.
type jupyterLanguage struct {
	Name       string      `json:"name"`
	Adapter    string      `json:"adapter"`
	Kernelspec string      `json:"kernelspec"`
	Code       *kernelCode `json:"code,omitempty"` // nil: contexts have no working directory and variables of their own
}

// kernelCode is code by which a kernel is told its working directory and environment; package supervisor says more.
type kernelCode struct {
	Setup string `json:"setup"`
	Enter string `json:"enter"`
	Leave string `json:"leave"`
}

// kernelCodes are the codes of the languages that kernelspecs name. They leave nothing in the user's namespace.
var kernelCodes = map[string]*kernelCode{"python": {
	Setup: `(lambda os, v: ((v["cwd"] + "/").startswith("/home/user/") and os.makedirs(v["cwd"], exist_ok=True), ` +
		`os.chdir(v["cwd"]), os.environ.update(v.get("env") or {})))` + pythonValues,
	Enter: `(lambda os, v: (setattr(os, "_cubby_before", {k: os.environ.get(k) for k in v["env"]}), ` +
		`os.environ.update(v["env"])))` + pythonValues,
	Leave: `(lambda os, v: [os.environ.pop(k, None) if o is None else os.environ.update({k: o}) ` +
		`for k, o in os.__dict__.pop("_cubby_before", {}).items()])` + pythonValues,
}}

// pythonValues calls a function with the module os and with what the supervisor says.
const pythonValues = `(__import__("os"), __import__("json").loads(__import__("base64").b64decode("{values}")))`

// findKernelspec returns the kernelspec that was asked for, or the only one, and its language.
func (b *builder) findKernelspec(ctx context.Context, o AddOptions) (name, language string, err error) {
	found := map[string][]byte{}
	for _, folder := range kernelFolders {
		files, err := b.engine.ImageFiles(ctx, o.Image, folder)
		if err != nil {
			return "", "", err
		}
		for name, content := range files {
			if _, before := found[path.Dir(name)]; path.Base(name) == "kernel.json" && !before {
				found[path.Dir(name)] = content
			}
		}
	}
	name = o.Kernelspec
	names := slices.Sorted(maps.Keys(found))
	switch {
	case len(names) == 0:
		return "", "", fmt.Errorf("%s has neither /opt/cubby/language.json nor a kernel of Jupyter (in %s)",
			o.Image, strings.Join(kernelFolders, ", "))
	case name == "" && len(names) > 1:
		return "", "", fmt.Errorf("%s has several kernels: name one of %s with --kernelspec", o.Image, strings.Join(names, ", "))
	case name == "":
		name = names[0]
	}
	content, ok := found[name]
	if !ok {
		return "", "", fmt.Errorf("%s has no kernel %q: it has %s", o.Image, name, strings.Join(names, ", "))
	}
	var spec struct {
		Language string `json:"language"`
	}
	if err := json.Unmarshal(content, &spec); err != nil {
		return "", "", fmt.Errorf("read the kernelspec %s of %s: %w", name, o.Image, err)
	}
	return name, spec.Language, nil
}
