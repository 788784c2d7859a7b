package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"cubby/api/wire"
)

// maxLine is the longest line that is read: a frame of 8 MiB, in which what is not ASCII takes three times its room.
const maxLine = 24<<20 + 64<<10

// Stream is the answer to an execute. It is read by one caller, who closes it.
type Stream struct {
	ExecutionID string // by which the execution can be interrupted, looked up and followed

	ctx  context.Context //nolint:containedctx // of the request whose answer this is
	body io.ReadCloser
}

// Execute runs code and calls fn with each line; see Stream.Each.
func (c *Client) Execute(ctx context.Context, req wire.Execute, fn func(wire.Line) error) error {
	stream, err := c.Stream(ctx, req)
	if err != nil {
		return err
	}
	defer stream.Close()
	return stream.Each(fn)
}

// Stream runs code and returns as soon as its execution is accepted. The end of ctx, or the stream's Close, ends the
// stream, by which the server interrupts the execution unless the request says otherwise.
func (c *Client) Stream(ctx context.Context, req wire.Execute) (*Stream, error) {
	res, err := c.send(ctx, wire.RouteExecute, nil, "", req) //nolint:bodyclose // Close does
	if err != nil {
		return nil, err
	}
	return &Stream{ExecutionID: res.Header.Get(wire.HeaderExecutionID), ctx: ctx, body: res.Body}, nil
}

// Close ends the stream.
func (s *Stream) Close() error { return s.body.Close() }

// Each calls fn with each line, in order, on the caller's goroutine, and returns after the last one. An exception of the
// code is a line and no error. The error is that of fn, which ends the reading; ErrReplaced when another reader has taken
// over; or ErrCut when the stream ends before its last line: what became of the execution is then unknown, but can be
// looked up.
func (s *Stream) Each(fn func(wire.Line) error) error {
	lines := newLines(s.body)
	replaced := false
	for lines.Scan() {
		line, err := wire.ParseLine(lines.Bytes())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnexpected, err)
		}
		if failure, ok := line.(wire.ExecutionError); ok && failure.Name == wire.ReaderReplaced {
			replaced = true
			continue
		}
		if err := fn(line); err != nil {
			return err
		}
		if _, last := line.(wire.EndOfExecution); last {
			drain(s.body)
			return nil
		}
	}
	if replaced && lines.Err() == nil {
		return ErrReplaced
	}
	return cut(s.ctx, lines.Err())
}

// newLines returns a scanner of the lines of a stream.
func newLines(stream io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	return lines
}

// drain reads a stream whose last line has come to its end, so that the connection can be used again.
func drain(stream io.Reader) { _, _ = io.Copy(io.Discard, io.LimitReader(stream, 1)) }

// cut says why a stream has ended before its last line. err is the reader's, nil at the end of the stream.
func cut(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("read the execution: %w", context.Cause(ctx))
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%w: a line is longer than %d bytes", ErrUnexpected, maxLine)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return ErrCut
}

// wholeLines splits as bufio.ScanLines does, but drops what the end of the stream has left of a line.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if atEOF && bytes.IndexByte(data, '\n') < 0 {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}
