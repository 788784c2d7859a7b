package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

// TestKind drives real answers through the SDK, whose classification it relies on.
func TestKind(t *testing.T) {
	d := newDaemon(t)
	e := d.engine()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   error
	}{
		"not-found":   {refuse(http.StatusNotFound, "no such volume"), orchestrator.ErrNotFound},
		"conflict":    {refuse(http.StatusConflict, "volume is in use"), orchestrator.ErrConflict},
		"bad-request": {refuse(http.StatusBadRequest, "bad name"), orchestrator.ErrInvalid},
		"unavailable": {refuse(http.StatusServiceUnavailable, "shutting down"), orchestrator.ErrEngine},
		"cut":         {hangUp, orchestrator.ErrEngine},
		// All of these are plain internal errors but for their text: the engine gives nothing else to tell them by.
		"disk":     {refuse(http.StatusInternalServerError, "mkdir /var/lib/docker/x: no space left on device"), orchestrator.ErrExhausted},
		"keyrings": {refuse(http.StatusInternalServerError, "could not join session keyring: disk quota exceeded"), orchestrator.ErrExhausted},
		"bridge":   {refuse(http.StatusInternalServerError, "adding interface to bridge docker0 failed: exchange full"), orchestrator.ErrExhausted},
		"pools":    {refuse(http.StatusInternalServerError, "could not find an available, non-overlapping IPv4 address pool"), orchestrator.ErrExhausted},
		"headless": {refuse(http.StatusInternalServerError, `connection error: desc = "dial unix containerd.sock: connection refused": unavailable`), orchestrator.ErrEngine},
	} {
		t.Run(name, func(t *testing.T) {
			d.on("GET /volumes/"+name, c.answer)
			_, err := e.api.VolumeInspect(t.Context(), name)
			require.Error(t, err)
			require.ErrorIs(t, e.kind(t.Context(), err), c.kind)
		})
	}
	t.Run("another internal error has no kind", func(t *testing.T) {
		d.on("GET /volumes/odd", refuse(http.StatusInternalServerError, "boom"))
		_, err := e.api.VolumeInspect(t.Context(), "odd")
		require.Equal(t, err, e.kind(t.Context(), err))
	})
	t.Run("the words of a user's request make no internal error", func(t *testing.T) {
		d.on("GET /volumes/words", refuse(http.StatusBadRequest, "no space left on device is no name"))
		_, err := e.api.VolumeInspect(t.Context(), "words")
		require.ErrorIs(t, e.kind(t.Context(), err), orchestrator.ErrInvalid)
	})
	t.Run("our own limit means that the engine hangs", func(t *testing.T) {
		d.on("GET /volumes/slow", silence)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := e.api.VolumeInspect(ctx, "slow")
		require.ErrorIs(t, e.kind(t.Context(), err), orchestrator.ErrEngine)
		require.ErrorIs(t, e.kind(ctx, err), context.DeadlineExceeded, "the caller's limit")
		require.NotErrorIs(t, e.kind(ctx, err), orchestrator.ErrEngine)
	})
	t.Run("nothing is no error", func(t *testing.T) {
		require.NoError(t, e.kind(t.Context(), nil))
	})
}

func TestRemedy(t *testing.T) {
	for cause, words := range map[error]string{
		fs.ErrPermission:         "docker group",
		syscall.EACCES:           "docker group",
		syscall.ENOENT:           "install Docker, or start it",
		syscall.ECONNREFUSED:     "start the engine",
		errors.New("unexpected"): "broke",
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			require.Contains(t, remedy("unix:///s", fmt.Errorf("dial: %w", cause)), words)
		})
	}
}
