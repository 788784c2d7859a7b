package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"

	"cubby/api/wire"
)

// DefaultPatience is how long Events tries to come back to a server that has gone.
const DefaultPatience = time.Minute

const (
	// maxSilence is how long a stream without even a keepalive, of which there is one every 5 s, is believed in.
	maxSilence = 30 * time.Second
	// firstPause and lastPause are the pauses between tries to come back.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

var errSilent = errors.New("the server has fallen silent")

// Events returns an execution's events behind number after, each once and in order, and always its done as the last. A
// connection that breaks, as when the server is restarted, is made again for as long as the client has Patience; what got
// lost meanwhile is told by an EventGap. Breaking off the iteration interrupts nothing.
//
// The error, if there is one, is the last of the sequence: ErrReplaced when a newer reader has taken over, ErrNotFound
// when context or execution are gone, ErrInvalid when there is no such event yet, and that of the first connection or of
// the last try.
func (c *Client) Events(ctx context.Context, contextID, executionID string, after uint64) iter.Seq2[wire.Event, error] {
	return func(yield func(wire.Event, error) bool) {
		f := follower{client: c, ids: []string{contextID, executionID}, after: after, yield: yield}
		if err := f.run(ctx); err != nil && !errors.Is(err, errBreak) {
			yield(nil, fmt.Errorf("follow execution %s: %w", executionID, err))
		}
	}
}

// errBreak says that the caller of Events wants no more.
var errBreak = errors.New("enough")

// follower is one iteration over an execution's events.
type follower struct {
	client *Client
	ids    []string // the context's and the execution's
	after  uint64   // the last event that was yielded
	yield  func(wire.Event, error) bool

	connected bool      // a server has answered
	heard     time.Time // when something came last
}

// run reads streams until one of them ends with the execution, or there is no hope.
func (f *follower) run(ctx context.Context) error {
	patience := cmp.Or(f.client.Patience, DefaultPatience)
	pause := firstPause
	for {
		before := f.heard
		err := f.read(ctx)
		if err == nil || ctx.Err() != nil || !f.connected || !canResume(err) {
			return err
		}
		if f.heard != before {
			pause = firstPause
		}
		if time.Since(f.heard) >= patience {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// canResume reports whether the same request may succeed later.
func canResume(err error) bool {
	return errors.Is(err, ErrCut) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnavailable) ||
		errors.Is(err, ErrCapacity) || errors.Is(err, errSilent)
}

// read yields the events of one stream. It returns nil after the done.
func (f *follower) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(maxSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	query := url.Values{wire.ParamAfter: {strconv.FormatUint(f.after, 10)}}
	res, err := f.client.send(ctx, wire.RouteEvents, f.ids, query.Encode(), nil)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	defer res.Body.Close()
	f.connected = true
	lines := newLines(res.Body)
	for f.heard = time.Now(); lines.Scan(); f.heard = time.Now() {
		silence.Reset(maxSilence)
		ev, err := wire.ParseEvent(lines.Bytes())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnexpected, err)
		}
		last, err := f.take(ev)
		if last && err == nil {
			drain(res.Body)
		}
		if last || err != nil {
			return err
		}
	}
	return cut(ctx, lines.Err())
}

// take yields an event that is new, and reports whether it is the last.
func (f *follower) take(ev wire.Event) (last bool, err error) {
	switch ev.(type) {
	case wire.Keepalive:
		return false, nil
	case wire.Replaced:
		return true, ErrReplaced
	case wire.EventDone:
		last = true
	}
	seq := ev.Sequence()
	if seq > 0 && seq <= f.after && !last {
		return false, nil
	}
	f.after = max(f.after, seq)
	if !f.yield(ev, nil) {
		return last, errBreak
	}
	return last, nil
}
