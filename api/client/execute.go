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

// Execute runs code and calls fn with each line, in order, on the caller's goroutine. It returns after the last one.
// An exception of the code is a line and no error. An error of fn, or the end of ctx, ends the stream, by which the
// server interrupts the execution unless the request says otherwise. The error is ErrCut when the stream ends before
// its last line: what became of the execution is then unknown.
func (c *Client) Execute(ctx context.Context, req wire.Execute, fn func(wire.Line) error) error {
	res, err := c.send(ctx, wire.RouteExecute, "", req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	for lines.Scan() {
		line, err := wire.ParseLine(lines.Bytes())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnexpected, err)
		}
		if err := fn(line); err != nil {
			return err
		}
		if _, last := line.(wire.EndOfExecution); last {
			_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1)) // to its end, so that the connection can be used again
			return nil
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return fmt.Errorf("execute: %w", ctx.Err())
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
