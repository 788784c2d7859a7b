package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// file is one file of a build context.
type file struct {
	name    string
	mode    int64
	content []byte
	link    string // what it leads to, for a symbolic link
}

// digest returns a digest of files, whatever their order.
func digest(files []file) string {
	sum := sha256.New()
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) }) {
		fmt.Fprintf(sum, "%q %o %d\n", f.name, f.mode, len(f.content))
		sum.Write(f.content)
		if f.link != "" {
			fmt.Fprintf(sum, "%q\n", f.link)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8])
}

// digestOf returns a digest of one file's content.
func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%x", sum[:8])
}

// filesOf returns the files of a language's folder. Embedded files have lost their modes.
func filesOf(tree fs.FS, language string) ([]file, error) {
	var files []file
	err := fs.WalkDir(tree, language, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		files = append(files, file{name: strings.TrimPrefix(name, language+"/"), mode: 0o644, content: content})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", language, err)
	}
	return files, nil
}

// buildContext returns files as a build context.
func buildContext(files []file) (*bytes.Buffer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}
		if f.link != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, f.link
		}
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
