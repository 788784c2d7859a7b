package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"cubby/orchestrator"
)

// kind wraps an error of the SDK with its kind. An expired limit of our own, while the caller's ctx has not ended, means
// that the engine does not answer.
func (e *Engine) kind(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s accepts connections but does not answer; see its log, or restart it: %w",
			orchestrator.ErrEngine, e.endpoint.Host, err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%w: %s", orchestrator.ErrEngine, e.diagnose(ctx, err))
	case exhausted(err):
		return fmt.Errorf("%w: %w", orchestrator.ErrExhausted, err)
	case headless(err):
		return fmt.Errorf("%w: it is without its containerd: %w", orchestrator.ErrEngine, err)
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%w: %w", orchestrator.ErrNotFound, err)
	case errdefs.IsConflict(err):
		return fmt.Errorf("%w: %w", orchestrator.ErrConflict, err)
	case errdefs.IsInvalidArgument(err):
		return fmt.Errorf("%w: %w", orchestrator.ErrInvalid, err)
	case errdefs.IsUnavailable(err):
		return fmt.Errorf("%w: %w", orchestrator.ErrEngine, err)
	}
	return err
}

// answered reports whether err is the engine's refusal, so that what was asked for has not been done. Otherwise nobody
// knows whether it was.
func answered(err error) bool {
	for _, refusal := range []error{
		errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrConflict, errdefs.ErrUnauthenticated,
		errdefs.ErrPermissionDenied, errdefs.ErrNotImplemented, errdefs.ErrUnavailable, errdefs.ErrInternal,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// exhausted reports whether the host has run out of something. The engine answers all of these as internal errors, so
// that its text is the only sign.
func exhausted(err error) bool {
	if !errdefs.IsInternal(err) {
		return false
	}
	text := strings.ToLower(err.Error())
	for _, sign := range []string{
		"no space left on device",
		"disk quota exceeded",       // the keyrings of a uid
		"exchange full",             // the ports of a bridge
		"non-overlapping ipv4",      // the address pools
		"too many open files",       // the engine's own limit
		"cannot allocate memory",    // the host's memory
		"resource temporarily unav", // the host's processes
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// headless reports whether the engine cannot reach the containerd below it, as while that starts again. It answers that
// as an internal error with the word of gRPC for it, the older ones at the end, the newer ones at the beginning.
func headless(err error) bool {
	return errdefs.IsInternal(err) && strings.Contains(strings.ToLower(err.Error()), "unavailable")
}

// diagnose says what is wrong with the connection, and what to do. The SDK does not keep the cause of a connection that
// could not be made, so it is made once more.
func (e *Engine) diagnose(ctx context.Context, err error) string {
	network, address, _ := strings.Cut(e.endpoint.Host, "://")
	if network == "unix" || network == "tcp" {
		if cause := tryDial(ctx, network, address); cause != nil {
			err = cause
		}
	}
	return remedy(e.endpoint.Host, err)
}

// remedy says in words why an engine cannot be reached, and what to do.
func remedy(host string, err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "permission denied on " + host + ": add yourself to the docker group (sudo usermod -aG docker $USER) and log in again"
	case errors.Is(err, fs.ErrNotExist):
		return host + " does not exist: install Docker, or start it (sudo systemctl start docker, or Docker Desktop)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on " + host + ": start the engine (sudo systemctl start docker, or Docker Desktop)"
	default:
		return fmt.Sprintf("the connection to %s broke: is the engine being restarted? (%v)", host, err)
	}
}
