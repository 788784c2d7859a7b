package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"cubby/orchestrator"
)

// Start implements orchestrator.Engine. Once the engine has been asked for a container, its answer is waited for even
// if ctx ends, for a short while: a container that nobody waits for would stay behind.
func (e *Engine) Start(ctx context.Context, spec orchestrator.ContainerSpec) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	id, err := e.start(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("start container %s: %w", spec.Name, err)
	}
	return id, nil
}

func (e *Engine) start(ctx context.Context, spec orchestrator.ContainerSpec) (string, error) {
	config, host, net, err := convert(spec, e.instance, e.runtime)
	if err != nil {
		return "", err
	}
	if err := e.approve(ctx, spec.Image); err != nil {
		return "", err
	}
	work, cancel := outlive(ctx, overrun)
	defer cancel()
	created, err := e.api.ContainerCreate(work, config, host, net, nil, spec.Name)
	if err != nil {
		return "", e.createFailed(ctx, spec, err)
	}
	err = e.heed(created.Warnings)
	if err == nil && ctx.Err() == nil {
		err = e.startKind(ctx, e.api.ContainerStart(work, created.ID, container.StartOptions{}))
	}
	if err == nil {
		err = ctx.Err() // the caller has left, and will not learn of a container
	}
	if err == nil {
		return created.ID, nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), overrun)
	defer cancel()
	e.tell(spec.Name, e.remove(clean, created.ID))
	return "", err
}

// tell logs why a container that did not start stays behind; nil says nothing. Whoever wanted it is told why it did not.
func (e *Engine) tell(name string, err error) {
	if err != nil {
		e.log.Warn("container that did not start not removed", "container", name, "error", err)
	}
}

// createFailed gives the error of a create its kind, and removes the container if there is one: an answer can be lost.
func (e *Engine) createFailed(ctx context.Context, spec orchestrator.ContainerSpec, err error) error {
	switch {
	case !answered(err):
	case errdefs.IsNotFound(err):
		e.disapprove(spec.Image)
		return fmt.Errorf("%w: %w", orchestrator.ErrImageMissing, err)
	case errdefs.IsInvalidArgument(err): // a runtime or limit that the engine does not have is no client's fault
		return fmt.Errorf("the engine refuses the container's settings: %w", err)
	default:
		return e.kind(ctx, err)
	}
	e.dropLost(ctx, spec.Name)
	return e.kind(ctx, err)
}

// dropLost removes the container of a create whose answer was lost, also when ctx has ended, and logs if it cannot.
func (e *Engine) dropLost(ctx context.Context, name string) {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryLimit)
	defer cancel()
	e.tell(name, e.removeLost(clean, name))
}

// startKind gives the error of a start its kind. A program that is not in the image is no client's fault.
func (e *Engine) startKind(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if fault := unbootable(err); fault != nil {
		return fault
	}
	if errdefs.IsInvalidArgument(err) || errdefs.IsNotFound(err) {
		return fmt.Errorf("the engine cannot start it: %w", err)
	}
	return e.kind(ctx, err)
}

// unbootable tells of a supervisor that the engine cannot run: the image is at fault. Only the end of the engine's words
// is told, which holds no path of the host. It is nil for any other error.
func unbootable(err error) error {
	_, cause, found := strings.Cut(err.Error(), `exec: "`+supervisorPath+`"`)
	if !found {
		return nil
	}
	cause, _, _ = strings.Cut(strings.TrimPrefix(cause, ": "), "\n")
	return fmt.Errorf("%w: its %s cannot be run: %s", orchestrator.ErrNoBoot, supervisorPath, cause)
}

// removeLost removes a container of ours by its name. The engine may still be making it, so a few looks are taken.
func (e *Engine) removeLost(ctx context.Context, name string) error {
	const looks = 10
	for look := range looks {
		found, err := e.api.ContainerInspect(ctx, name)
		switch {
		case err == nil && e.owns(found):
			return e.remove(ctx, found.ID)
		case err == nil, client.IsErrConnectionFailed(err):
			return nil // somebody else's, or nobody to ask: the next List shows what there is
		case !errdefs.IsNotFound(err):
			return fmt.Errorf("look for container %s: %w", name, err)
		}
		if !pause(ctx, time.Duration(look+1)*50*time.Millisecond) {
			break
		}
	}
	return nil
}

// heed handles the warnings of a create, each of which says that something asked for was dropped.
func (e *Engine) heed(warnings []string) error {
	if e.strict && len(warnings) > 0 {
		return fmt.Errorf("%w: the host cannot hold the container to its limits: %s (see cubby doctor)",
			orchestrator.ErrEngine, strings.Join(warnings, "; "))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range warnings {
		if !e.warned[w] {
			e.warned[w] = true
			e.log.Warn("the host does not enforce a limit", "warning", w)
		}
	}
	return nil
}

// Remove implements orchestrator.Engine. A container of another instance is ErrConflict.
func (e *Engine) Remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, removeLimit)
	defer cancel()
	found, err := e.api.ContainerInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("remove container %s: %w", name, e.kind(ctx, err))
	case !e.owns(found):
		return fmt.Errorf("remove container %s: %w: it belongs to another instance", name, orchestrator.ErrConflict)
	}
	return e.remove(ctx, found.ID)
}

// remove kills and removes a container, and tries until it is gone: a removal that is under way answers a conflict, and
// a kill that takes the engine long an internal error.
func (e *Engine) remove(ctx context.Context, id string) error {
	err := persist(ctx, func() error {
		return e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}, func(err error) bool { return errdefs.IsConflict(err) || errdefs.IsInternal(err) })
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("remove container %.12s: %w", id, e.kind(ctx, err))
}

// persist repeats f, ever more slowly, while it fails in a way that may pass. It returns the last error when ctx ends.
func persist(ctx context.Context, f func() error, passes func(error) bool) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := f()
		if err == nil || !passes(err) || !pause(ctx, wait) {
			return err
		}
	}
}

// owns reports whether a container is this instance's.
func (e *Engine) owns(c container.InspectResponse) bool {
	return c.Config != nil && c.Config.Labels[LabelInstance] == e.instance
}

// outlive returns a context that ends a while after ctx has ended.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}

// pause waits, and reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
