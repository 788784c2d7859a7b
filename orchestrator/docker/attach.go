package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"cubby/orchestrator"
)

// complaintBytes is how much is kept of what a bridge that could not start says.
const complaintBytes = 2 << 10

// Attach implements orchestrator.Engine. The bridge has not said anything yet when Attach returns: that it could not
// start shows in the first read. The stream has no goroutine: unread output waits in the engine.
func (e *Engine) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	stream, err := e.attach(limited, id)
	if err != nil {
		return nil, fmt.Errorf("attach %.12s: %w", id, e.kind(ctx, err))
	}
	return stream, nil
}

func (e *Engine) attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	exec, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		User:        "0:0",
		WorkingDir:  "/",
		Cmd:         []string{supervisorPath, "attach"},
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	// The connection lives as long as the context that dialed it, so that one must outlive this call, unless ctx ends it.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := e.streams.ContainerExecAttach(life, exec.ID, container.ExecAttachOptions{})
	if !stop() {
		end()
		if err == nil {
			conn.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		end()
		return nil, e.attachFailed(ctx, id, err)
	}
	return &stream{conn: conn, end: end}, nil
}

// attachFailed looks at the container: the SDK does not say with what status the engine refused to switch protocols.
func (e *Engine) attachFailed(ctx context.Context, id string, err error) error {
	found, inspectErr := e.api.ContainerInspect(ctx, id)
	switch {
	case errdefs.IsNotFound(inspectErr):
		return fmt.Errorf("%w: %w", orchestrator.ErrNotFound, err)
	case inspectErr == nil && found.State != nil && !found.State.Running:
		return fmt.Errorf("%w: the container is %s: %w", orchestrator.ErrConflict, found.State.Status, err)
	}
	return err
}

// stream is an attached bridge. It takes the standard output out of the engine's framing (a byte for the stream, three
// of zero, four for the length) and keeps the last of the standard error.
type stream struct {
	conn    types.HijackedResponse
	end     context.CancelFunc
	closing sync.Once

	left      int64 // of the frame being read
	spoke     bool  // a frame of the supervisor has begun
	complaint tail
	err       error // how reading ended
}

// Read implements io.Reader. It returns io.EOF when the bridge has gone, io.ErrUnexpectedEOF when the connection was
// cut inside a frame, and what a bridge that could not start has said.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 || s.err != nil {
		return 0, s.err
	}
	n, err := s.read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

func (s *stream) read(p []byte) (int, error) {
	for s.left == 0 {
		if err := s.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := s.conn.Reader.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if errors.Is(err, io.EOF) && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if n > 0 && !s.spoke {
		if p[0] != '{' { // the engine reports an exec that it could not start as if that had printed it
			_, _ = s.complaint.Write(p[:n])
			return 0, s.refused()
		}
		s.spoke = true
	}
	return n, err
}

// nextFrame reads up to the content of the next frame of standard output.
func (s *stream) nextFrame() error {
	var header [8]byte
	if _, err := io.ReadFull(s.conn.Reader, header[:]); err != nil {
		if errors.Is(err, io.EOF) && !s.spoke && s.complaint.text() != "" {
			return fmt.Errorf("the bridge did not start: %s", s.complaint.text())
		}
		return err
	}
	size := int64(binary.BigEndian.Uint32(header[4:]))
	switch stdcopy.StdType(header[0]) {
	case stdcopy.Stdin, stdcopy.Stdout:
		s.left = size
		return nil
	case stdcopy.Stderr:
		if _, err := io.CopyN(&s.complaint, s.conn.Reader, size); err != nil {
			return io.ErrUnexpectedEOF
		}
		return nil
	case stdcopy.Systemerr:
		s.left = size
		return s.refused()
	default:
		return fmt.Errorf("the engine's stream is not multiplexed: it has a frame of type %d", header[0])
	}
}

// refused reads what is left of a message that stands where frames should be, and returns it as the error.
func (s *stream) refused() error {
	_, _ = io.Copy(&s.complaint, io.LimitReader(s.conn.Reader, min(s.left, complaintBytes)))
	return fmt.Errorf("the bridge did not start: %s", s.complaint.text())
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) { return s.conn.Conn.Write(p) }

// Close implements io.Closer. The bridge sees the end of its input and leaves. It may be called at any time, and again.
func (s *stream) Close() error {
	s.closing.Do(func() {
		s.conn.Close()
		s.end()
	})
	return nil
}

// tail keeps the last complaintBytes of what is written to it.
type tail struct{ kept []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-complaintBytes):]...)
	t.kept = t.kept[max(0, len(t.kept)-complaintBytes):]
	return len(p), nil
}

func (t *tail) text() string {
	return strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "\uFFFD"))
}
