package orchestrator

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"cubby/orchestrator/kernel"
)

// TryImage starts a container of an image as contexts have it, waits until its kernel has booted, removes it and returns
// the version of the interpreter. Where the image is at fault, the error is ErrNoBoot, with what the kernel said, or ErrInvalid
// for an image that contexts cannot have, as one with a VOLUME.
func TryImage(ctx context.Context, engine Engine, image Image, limits Limits, uids UIDRange) (version string, err error) {
	spec := ContainerSpec{
		Name: "cubby-try-" + strings.ToLower(rand.Text()[:16]), Image: image.ID, UID: uids.pick(),
		Limits: limits, Network: NetworkNone, Lease: Lease,
	}
	defer func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		err = errors.Join(err, engine.Remove(cleaning, spec.Name))
	}()
	booting, cancel := context.WithTimeout(ctx, bringUpTimeout)
	defer cancel()
	_, conn, err := boot(booting, engine, spec, func(kernel.Event) {})
	if err != nil {
		return "", err
	}
	return conn.Hello().Version, conn.Close()
}
