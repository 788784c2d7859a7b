//go:build integration

package abusetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cubby/api/wire"
)

func (r *resident) manyTiny(ctx context.Context) error {
	for i := range 10 {
		o, err := r.run(ctx, fmt.Sprintf("%d * %d", i, i))
		if err != nil {
			return err
		}
		if want := fmt.Sprint(i * i); o.text != want || o.ending != "ok" || o.count == 0 {
			return fmt.Errorf("%d * %d: %+v", i, i, o)
		}
	}
	return nil
}

func (r *resident) exception(ctx context.Context) error {
	o, err := r.run(ctx, "print('before')\n1 / 0")
	switch {
	case err != nil:
		return err
	case o.errName != "ZeroDivisionError" || o.stdout != "before\n":
		return fmt.Errorf("an exception was told as %+v", o)
	}
	return wants(o, "error")
}

// queue sends executions before the first has ended. They run in the order in which they were sent.
func (r *resident) queue(ctx context.Context) error {
	const length = 5
	var all []outcome
	err := r.call(func() error {
		var sent []*stream
		for i := range length {
			st, err := r.s.web.execute(ctx, request(r.id, fmt.Sprintf("import time; time.sleep(0.02); print(%d)", i)))
			if err != nil {
				return err
			}
			defer st.leave()
			sent = append(sent, st)
		}
		for _, st := range sent {
			o, err := st.all()
			if err != nil {
				return err
			}
			all = append(all, o)
		}
		return nil
	})
	for i, o := range all {
		if err := r.judge(o); err != nil {
			return err
		}
		if o.stdout != fmt.Sprintln(i) || o.count != all[0].count+i {
			return fmt.Errorf("number %d of a queue: %+v", i, o)
		}
	}
	return err
}

const large = 4 << 20

func (r *resident) largeOutput(ctx context.Context) error {
	o, err := r.run(ctx, fmt.Sprintf("for _ in range(4): print('y' * (%d // 4 - 1))", large))
	if err == nil && (len(o.stdout) != large || o.missing != 0 || o.ending != "ok") {
		err = fmt.Errorf("%d of %d bytes, %d told as missing, %s", len(o.stdout), large, o.missing, o.ending)
	}
	return err
}

// slowReader stops reading for longer than the kernel has to wait for it: what it does not get is told.
func (r *resident) slowReader(ctx context.Context) error {
	const size = 24 << 20
	o, err := r.watch(ctx, func(st *stream) (bool, error) {
		if st.got.stdout == "" {
			return false, nil
		}
		time.Sleep(3 * time.Second)
		return true, nil
	}, fmt.Sprintf("for _ in range(24): print('y' * (%d // 24 - 1))", size))
	if err == nil && (len(o.stdout) > size || int64(len(o.stdout))+o.missing < size || o.ending != "ok") {
		err = fmt.Errorf("%d of %d bytes, %d told as missing, %s", len(o.stdout), size, o.missing, o.ending)
	}
	return err
}

// forAMinute is the beginning of code that prints a line, and does then something that ends by itself in the end.
const forAMinute = "import time; end = time.monotonic() + 60; print('on', flush=True)\n"

// interrupted interrupts code as soon as it has printed something.
func interrupted(code string) func(*resident, context.Context) error {
	return func(r *resident, ctx context.Context) error {
		o, err := r.watch(ctx, func(st *stream) (bool, error) {
			if st.got.stdout == "" {
				return false, nil
			}
			return true, r.s.web.client.Interrupt(ctx, r.id)
		}, forAMinute+code)
		if err != nil {
			return err
		}
		return wants(o, "interrupted")
	}
}

func timedOut(code string) func(*resident, context.Context) error {
	return func(r *resident, ctx context.Context) error {
		o, err := r.run(ctx, forAMinute+code, wire.Execute{TimeoutMS: 300})
		if err != nil {
			return err
		}
		return wants(o, "timeout")
	}
}

var errLeft = errors.New("left")

// leave leaves in the middle of an execution, which the server then interrupts.
func (r *resident) leave(ctx context.Context) error {
	_, err := r.watch(ctx, func(st *stream) (bool, error) {
		if st.got.stdout == "" {
			return false, nil
		}
		return true, errLeft
	}, forAMinute+"while time.monotonic() < end: print('y' * 1000)")
	if errors.Is(err, errLeft) && !errors.Is(err, errCut) {
		return nil
	}
	return err
}
