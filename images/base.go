package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"cubby/deploy"
)

// publicBase is what images are built on where a registry answers.
const publicBase = "debian:trixie-slim"

// registryPatience is how long a registry may be silent before the base image is made here instead.
const registryPatience = 20 * time.Second

// ownBase returns the tag of the base image that is made here: our own name, and a digest of how it is made.
func ownBase() string {
	return fmt.Sprintf("cubby-base:trixie-%x", sha256.Sum256([]byte(deploy.BaseScript)))[:len("cubby-base:trixie-")+12]
}

// findBase returns the image to build on: the one asked for; else one that the engine has already; else the public one
// from its registry; else one made here.
func (b *builder) findBase(ctx context.Context, arch string) (string, error) {
	wanted, candidates := publicBase, []string{publicBase, ownBase()}
	if b.options.Base != "" {
		wanted, candidates = b.options.Base, []string{b.options.Base}
	}
	for _, ref := range candidates {
		id, err := b.engine.ImageID(ctx, ref)
		if err != nil {
			return "", err
		}
		if id != "" {
			b.say("base image: %s, which the engine has", ref)
			return ref, nil
		}
	}
	b.say("base image: pulling %s (about 30 MB)", wanted)
	pullErr := b.pull(ctx, wanted)
	switch {
	case pullErr == nil:
		b.say("base image: %s, pulled", wanted)
		return wanted, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case b.options.Base != "":
		return "", fmt.Errorf("find the base image %s: the engine does not have it, and: %w", wanted, pullErr)
	}
	b.say("base image: no registry answers (%v); making %s here", pullErr, ownBase())
	if err := b.importBase(ctx, arch); err != nil {
		return "", fmt.Errorf("make the base image: %w", err)
	}
	b.say("base image: %s, made here", ownBase())
	return ownBase(), nil
}

// errSilent: the registry, or what stands before it, did not answer.
var errSilent = errors.New("no answer from the registry")

// pull pulls an image for as long as there is progress: a slow line is no reason to give up, a silent one is.
func (b *builder) pull(ctx context.Context, ref string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(b.patience, func() { cancel(errSilent) })
	defer silence.Stop()
	err := b.engine.PullImage(ctx, ref, writerFunc(func(p []byte) (int, error) {
		silence.Reset(b.patience)
		return b.progress.Write(p)
	}))
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errSilent) {
		return fmt.Errorf("pull %s: %w for %s", ref, errSilent, b.patience)
	}
	return err
}

// writerFunc is a function as an io.Writer.
type writerFunc func(p []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (b *builder) importBase(ctx context.Context, arch string) (err error) {
	arch, err = goArch(arch)
	if err != nil {
		return err
	}
	archive, err := b.bootstrap(ctx, arch, b.progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	return b.engine.ImportImage(ctx, archive, ownBase(), []string{`CMD ["bash"]`})
}

// bootstrap runs base.sh and returns what it writes.
func bootstrap(ctx context.Context, arch string, progress io.Writer) (io.ReadCloser, error) {
	out, err := start(ctx, progress, "sh", "-c", deploy.BaseScript, "base.sh", arch)
	if err != nil {
		return nil, fmt.Errorf("run base.sh: %w", err)
	}
	return out, nil
}

// stopPatience is how long a program and what it has started have to end after a SIGTERM: mmdebstrap has to unmount.
const stopPatience = 10 * time.Second

// start starts a program that is told to end, with all that it has started, when ctx ends or the output is closed.
func start(ctx context.Context, progress io.Writer, name string, args ...string) (*output, error) {
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = progress
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &output{stdout: stdout, stop: stop, wait: sync.OnceValue(cmd.Wait)}, nil
}

// output is what a program writes. Its end is io.EOF only when the program succeeded: half an archive must not pass
// for a whole one. It may be closed while it is read.
type output struct {
	stdout io.Reader
	stop   context.CancelFunc
	wait   func() error
}

// Read implements io.Reader.
func (o *output) Read(p []byte) (int, error) {
	n, err := o.stdout.Read(p)
	if err == nil {
		return n, nil
	}
	if err := o.wait(); err != nil {
		return n, fmt.Errorf("base.sh: %w; what it said is above", err)
	}
	return n, io.EOF
}

// Close ends the program, if it still runs, and waits for it.
func (o *output) Close() error {
	o.stop()
	_ = o.wait() // its end was asked for
	return nil
}
