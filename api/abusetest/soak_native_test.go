//go:build integration

package abusetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"cubby/api/client"
	"cubby/api/wire"
)

// follow starts an execution that counts, and reads its events in pieces: it leaves again and again, comes back, and
// survives the server's death. Every number comes once, or a gap says how much is missing.
func (r *resident) follow(ctx context.Context) error {
	const numbers = 150
	var e wire.Execution
	err := r.call(func() (err error) {
		e, err = r.s.web.client.Start(ctx, r.id, wire.StartExecution{
			Code: fmt.Sprintf("import time\nfor i in range(%d): print(i, flush=True); time.sleep(0.01)", numbers),
		})
		return err
	})
	if err != nil {
		return err
	}
	f := follower{r: r, e: e}
	for f.done == nil {
		if err := f.read(ctx, 1+rand.IntN(2*numbers/3)); err != nil {
			return err
		}
	}
	if err := f.complete(numbers); err != nil {
		return err
	}
	again := follower{r: r, e: e}
	for again.done == nil {
		if err := again.read(ctx, numbers*numbers); err != nil {
			return err
		}
	}
	if again.text.String() != f.text.String() || *again.done != *f.done {
		return fmt.Errorf("read again from its beginning, an execution is another: %q, then %q", f.text.String(), again.text.String())
	}
	return nil
}

// follower is who reads a native execution's events.
type follower struct {
	r       *resident
	e       wire.Execution
	after   uint64
	text    strings.Builder
	missing int64
	done    *wire.EventDone
}

// read reads so many events more, or all that come.
func (f *follower) read(ctx context.Context, events int) error {
	err := f.r.call(func() error {
		for ev, err := range f.r.s.web.client.Events(ctx, f.r.id, f.e.ID, f.after) {
			if err != nil {
				return err
			}
			if err := f.take(ev); err != nil {
				return err
			}
			if events--; events == 0 {
				return nil
			}
		}
		return nil
	})
	if errors.Is(err, errCut) && errors.Is(err, client.ErrUnreachable) {
		return f.r.s.server.awaitHealth(ctx, nil)
	}
	return err
}

// take puts an event to the others.
func (f *follower) take(ev wire.Event) error {
	if f.done != nil {
		return fmt.Errorf("an event after the done: %+v", ev)
	}
	if seq := ev.Sequence(); seq <= f.after {
		return fmt.Errorf("event %d after %d: %+v", seq, f.after, ev)
	}
	f.after = ev.Sequence()
	switch ev := ev.(type) {
	case wire.EventOutput:
		f.text.WriteString(ev.Text)
	case wire.EventGap:
		f.missing += ev.Bytes
	case wire.EventDone:
		f.done = &ev
		f.done.Usage = nil // not to be compared
	}
	return nil
}

// complete holds that an execution that counted ended well and that all numbers came.
func (f *follower) complete(numbers int) error {
	var want strings.Builder
	for i := range numbers {
		fmt.Fprintln(&want, i)
	}
	o := outcome{
		stdout: f.text.String(), missing: f.missing, ends: 1,
		ending: f.done.Ending, state: f.done.State, generation: f.done.Generation,
	}
	if err := f.r.judge(o); err != nil {
		return err
	}
	if o.missing == 0 && o.stdout != want.String() || int64(len(o.stdout))+o.missing < int64(want.Len()) {
		return fmt.Errorf("numbers are missing: %+v", o)
	}
	return wants(o, "ok")
}

// stay leaves in the middle of an execution that is to go on.
func (r *resident) stay(ctx context.Context) error {
	_, err := r.watch(ctx, func(st *stream) (bool, error) {
		if st.got.stdout == "" {
			return false, nil
		}
		return true, errLeft
	}, "import time; stayed = 0; print('on', flush=True); time.sleep(0.2); stayed = 1", wire.Execute{OnDisconnect: wire.OnDisconnectContinue})
	if !errors.Is(err, errLeft) || errors.Is(err, errCut) {
		return err
	}
	o, err := r.run(ctx, "stayed")
	if err == nil && o.text != "1" {
		err = fmt.Errorf("an execution that was to stay did not: %+v", o)
	}
	return err
}
