// Package images holds the languages that contexts can have and builds their images.
//
// A folder here is an image: packages, a driver and language.json. The folders and the supervisor's two binaries are
// embedded, so that an installed binary builds images without a Go toolchain. The packages, which take long, are an
// image of their own; the language's image is built on it. An image's tag is a digest of all that goes into it: whether
// an image is current needs no record. README.md tells how to add a language.
package images

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The Dockerfiles name what they copy; a file that one of them needs and that is not embedded fails the build there.
//
//go:embed */Dockerfile */packages
var packageFiles embed.FS

//go:embed */Dockerfile.driver */language.json */driver*
//go:embed all:supervisor
var driverFiles embed.FS

var embedded = tree{packages: packageFiles, drivers: driverFiles}

var (
	// ErrUnknownLanguage: there is no such language, by name or by alias.
	ErrUnknownLanguage = errors.New("unknown language")
	// ErrNoSupervisor: this binary carries no supervisor for the engine's architecture.
	ErrNoSupervisor = errors.New("this binary was built without the supervisor")
	// ErrUnfit: a new image does not boot, and the image is at fault.
	ErrUnfit = errors.New("it does not boot")
)

// Language is a language that contexts can have.
type Language struct {
	Name       string   `json:"name"`
	Aliases    []string `json:"aliases"`
	Extensions []string `json:"extensions"` // of files with code in it, in small letters: .py
}

// Languages returns all languages, sorted by name. An error means that an embedded language.json is wrong.
func Languages() ([]Language, error) { return embedded.languages() }

// Lookup returns the language of that name or alias, in any case of letters; else ErrUnknownLanguage.
func Lookup(name string) (Language, error) { return embedded.lookup(name) }

// Tag returns the tag of an image's current version for an architecture, as Go or the engine names it. The image is named
// by its folder or by a language or alias, whose usual image is meant. The error is ErrUnknownLanguage or ErrNoSupervisor.
func Tag(image, arch string) (string, error) { return embedded.tag(image, arch) }

// Folder returns the name of the folder of an image that is named as for Tag. The error is ErrUnknownLanguage.
func Folder(image string) (string, error) {
	f, err := embedded.folder(image)
	return f.name, err
}

// PackagesTag returns what the tag of an image's packages begins with as long as they are current; what follows names
// the base that they are built on. The error is ErrUnknownLanguage.
func PackagesTag(image string) (string, error) { return embedded.packagesTag(image) }

// Folders returns the names of all images, several of which may be of one language. An error means that an embedded
// language.json is wrong.
func Folders() ([]string, error) {
	folders, err := embedded.folders()
	names := make([]string, 0, len(folders))
	for _, f := range folders {
		names = append(names, f.name)
	}
	return names, err
}

// SupervisorDigest returns a digest of the supervisor for an architecture: an image that was added with another one is not
// current. The error is ErrNoSupervisor.
func SupervisorDigest(arch string) (string, error) {
	binary, err := embedded.supervisor(arch)
	return digestOf(binary), err
}

// tree is what images are made of, in two trees of language folders.
type tree struct {
	packages fs.FS // what the packages are made of
	drivers  fs.FS // what comes on top; beside the languages the folder supervisor with the binaries
}

// folder is one image's.
type folder struct {
	name     string
	language Language
	packages string // the folder whose packages it has; usually its own
	driver   string // the folder whose driver it has; usually its own
}

// folders returns all folders, sorted by name.
func (t tree) folders() ([]folder, error) {
	names, err := fs.Glob(t.drivers, "*/language.json")
	if err != nil {
		return nil, fmt.Errorf("list languages: %w", err)
	}
	folders := make([]folder, 0, len(names))
	for _, name := range names {
		raw, err := fs.ReadFile(t.drivers, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		var said struct {
			Language
			Packages string `json:"packages"`
			Driver   string `json:"driver"`
		}
		if err := json.Unmarshal(raw, &said); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		f := folder{name: path.Dir(name), language: said.Language}
		f.packages, f.driver = cmp.Or(said.Packages, f.name), cmp.Or(said.Driver, f.name)
		if f.name != said.Name && !strings.HasPrefix(f.name, said.Name+"-") {
			return nil, fmt.Errorf("read %s: the language is %q, with which the folder's name does not begin", name, said.Name)
		}
		folders = append(folders, f)
	}
	return folders, nil
}

// languages returns the languages, each of which has a folder of its name.
func (t tree) languages() ([]Language, error) {
	folders, err := t.folders()
	if err != nil {
		return nil, err
	}
	var languages []Language
	for _, f := range folders {
		if f.name == f.language.Name {
			languages = append(languages, f.language)
		}
	}
	return languages, nil
}

func (t tree) lookup(name string) (Language, error) {
	f, err := t.folder(name)
	return f.language, err
}

// folder returns the folder of that name, or of the language with that alias.
func (t tree) folder(name string) (folder, error) {
	folders, err := t.folders()
	if err != nil {
		return folder{}, err
	}
	wanted := strings.ToLower(name)
	var names []string
	for _, f := range folders {
		if f.name == wanted || f.name == f.language.Name && slices.Contains(f.language.Aliases, wanted) {
			return f, nil
		}
		names = append(names, f.name)
	}
	return folder{}, fmt.Errorf("%w: %q is none of %s", ErrUnknownLanguage, name, strings.Join(names, ", "))
}

func (t tree) tag(name, arch string) (string, error) {
	f, err := t.folder(name)
	if err != nil {
		return "", err
	}
	packages, err := filesOf(t.packages, f.packages)
	if err != nil {
		return "", err
	}
	driver, err := t.driver(f, arch)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("cubby-%s:%s", f.name, digest(slices.Concat(packages, driver))), nil
}

func (t tree) packagesTag(name string) (string, error) {
	f, err := t.folder(name)
	if err != nil {
		return "", err
	}
	files, err := filesOf(t.packages, f.packages)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("cubby-%s-packages:%s-", f.packages, digest(files)), nil
}

// driver returns what an image is made of beside its packages: the driver's files, language.json and the supervisor, which
// alone is executable.
func (t tree) driver(f folder, arch string) ([]file, error) {
	binary, err := t.supervisor(arch)
	if err != nil {
		return nil, err
	}
	files, err := filesOf(t.drivers, f.driver)
	if err != nil {
		return nil, err
	}
	language, err := fs.ReadFile(t.drivers, f.name+"/language.json")
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", f.name, err)
	}
	files = slices.DeleteFunc(files, func(f file) bool { return f.name == "language.json" })
	return append(files, file{name: "language.json", mode: 0o644, content: language},
		file{name: "supervisor", mode: 0o755, content: binary}), nil
}

func (t tree) supervisor(arch string) ([]byte, error) {
	arch, err := goArch(arch)
	if err != nil {
		return nil, err
	}
	binary, err := fs.ReadFile(t.drivers, "supervisor/supervisor-linux-"+arch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w for %s: use make build", ErrNoSupervisor, arch)
	}
	if err != nil {
		return nil, fmt.Errorf("read the supervisor for %s: %w", arch, err)
	}
	return binary, nil
}

// goArch returns Go's name of an architecture; engines use the kernel's.
func goArch(arch string) (string, error) {
	switch arch {
	case "amd64", "x86_64":
		return "amd64", nil
	case "arm64", "aarch64":
		return "arm64", nil
	default:
		return "", fmt.Errorf("%w for %s: engines on amd64 and arm64 can be used", ErrNoSupervisor, arch)
	}
}
