package docker

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

const (
	maxImageFile  = 1 << 20  // of one file of an image
	maxImageFiles = 16 << 20 // of all files below a directory
)

var errManyFiles = errors.New("more than 16 MiB of files")

// ImageFiles returns the files below a directory of an image, by their names there: the regular ones of at most 1 MiB, of
// the others nothing. More than 16 MiB of them are an error. A directory that is not there has none. The files are read from a container that is never started.
func (e *Engine) ImageFiles(ctx context.Context, ref, dir string) (files map[string][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	name := "cubby-look-" + strings.ToLower(rand.Text()[:16])
	created, err := e.api.ContainerCreate(ctx, &container.Config{
		Image: ref, Cmd: []string{supervisorPath}, Labels: map[string]string{LabelInstance: e.instance},
	}, &container.HostConfig{NetworkMode: "none"}, nil, nil, name)
	if err != nil {
		if !answered(err) {
			e.dropLost(ctx, name)
		}
		return nil, fmt.Errorf("look into image %s: %w", ref, e.kind(ctx, err))
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryLimit)
		defer cancel()
		err = errors.Join(err, e.remove(clean, created.ID))
	}()
	archive, _, err := e.api.CopyFromContainer(ctx, created.ID, dir)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err == nil {
		files, err = untar(archive, path.Base(dir))
		err = errors.Join(err, archive.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of image %s: %w", dir, ref, e.kind(ctx, err))
	}
	return files, nil
}

// untar returns the files below a directory of an archive.
func untar(archive io.Reader, dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	reader := tar.NewReader(archive)
	var total int64
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name, below := strings.CutPrefix(path.Clean(header.Name), dir+"/")
		if !below || header.Typeflag != tar.TypeReg || header.Size > maxImageFile {
			continue
		}
		if total += header.Size; total > maxImageFiles {
			return nil, errManyFiles
		}
		if files[name], err = io.ReadAll(reader); err != nil {
			return nil, err
		}
	}
}
