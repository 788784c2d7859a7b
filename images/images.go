// Package images holds the languages that contexts can have and builds their images.
//
// A language is a folder here: a Dockerfile, a driver and language.json. The folders and the supervisor's two binaries
// are embedded, so that an installed binary builds images without a Go toolchain. An image's tag is a digest of all
// that goes into it: whether an image is current needs no record. README.md tells how to add a language.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
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
//go:embed python/Dockerfile python/language.json python/requirements.txt python/driver*.py
//go:embed all:supervisor
var embedded embed.FS

var (
	// ErrUnknownLanguage: there is no such language, by name or by alias.
	ErrUnknownLanguage = errors.New("unknown language")
	// ErrNoSupervisor: this binary carries no supervisor for the engine's architecture.
	ErrNoSupervisor = errors.New("this binary was built without the supervisor")
)

// Language is a language that contexts can have.
type Language struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

// Languages returns all languages, sorted by name. An error means that an embedded language.json is wrong.
func Languages() ([]Language, error) { return tree{embedded}.languages() }

// Lookup returns the language of that name or alias, in any case of letters; else ErrUnknownLanguage.
func Lookup(name string) (Language, error) { return tree{embedded}.lookup(name) }

// Tag returns the tag of a language's current image for an architecture, as Go or the engine names it. The error is
// ErrUnknownLanguage or ErrNoSupervisor.
func Tag(language, arch string) (string, error) { return tree{embedded}.tag(language, arch) }

// tree is a tree of language folders, beside the folder supervisor with the binaries.
type tree struct{ fs.FS }

func (t tree) languages() ([]Language, error) {
	names, err := fs.Glob(t, "*/language.json")
	if err != nil {
		return nil, fmt.Errorf("list languages: %w", err)
	}
	languages := make([]Language, 0, len(names))
	for _, name := range names {
		raw, err := fs.ReadFile(t, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		var language Language
		if err := json.Unmarshal(raw, &language); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if folder := path.Dir(name); language.Name != folder {
			return nil, fmt.Errorf("read %s: the name is %q, not that of its folder", name, language.Name)
		}
		languages = append(languages, language)
	}
	return languages, nil
}

func (t tree) lookup(name string) (Language, error) {
	languages, err := t.languages()
	if err != nil {
		return Language{}, err
	}
	wanted := strings.ToLower(name)
	var names []string
	for _, language := range languages {
		if language.Name == wanted || slices.Contains(language.Aliases, wanted) {
			return language, nil
		}
		names = append(names, language.Name)
	}
	return Language{}, fmt.Errorf("%w: %q is none of %s", ErrUnknownLanguage, name, strings.Join(names, ", "))
}

func (t tree) tag(name, arch string) (string, error) {
	language, err := t.lookup(name)
	if err != nil {
		return "", err
	}
	files, err := t.files(language.Name, arch)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, f := range files {
		fmt.Fprintf(digest, "%q %o %d\n", f.name, f.mode, len(f.content))
		digest.Write(f.content)
	}
	return fmt.Sprintf("cubby-%s:%x", language.Name, digest.Sum(nil)[:8]), nil
}

// file is one file of a build context.
type file struct {
	name    string
	mode    int64
	content []byte
}

// files returns what an image is made of, sorted by name, except for its base. Embedded files have lost their modes,
// so nothing but the supervisor is executable.
func (t tree) files(language, arch string) ([]file, error) {
	binary, err := t.supervisor(arch)
	if err != nil {
		return nil, err
	}
	files := []file{{name: "supervisor", mode: 0o755, content: binary}}
	err = fs.WalkDir(t, language, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(t, name)
		if err != nil {
			return err
		}
		files = append(files, file{name: strings.TrimPrefix(name, language+"/"), mode: 0o644, content: content})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", language, err)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

func (t tree) supervisor(arch string) ([]byte, error) {
	arch, err := goArch(arch)
	if err != nil {
		return nil, err
	}
	binary, err := fs.ReadFile(t, "supervisor/supervisor-linux-"+arch)
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

// buildContext returns the build context of an image: its files, and ca.crt for the stages that fetch packages.
func buildContext(files []file, ca []byte) (*bytes.Buffer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range append(slices.Clone(files), file{name: "ca.crt", mode: 0o644, content: ca}) {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the build context: %w", err)
	}
	return &archive, nil
}
