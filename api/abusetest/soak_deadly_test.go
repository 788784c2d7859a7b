//go:build integration

package abusetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/container"
)

// ends runs code that ends its kernel.
func ends(code, ending string) func(*resident, context.Context) error {
	return func(r *resident, ctx context.Context) error {
		o, err := r.run(ctx, code)
		switch {
		case err != nil:
			return err
		case o.state != "lost":
			return fmt.Errorf("a kernel that ended has kept its state: %+v", o)
		}
		return wants(o, ending)
	}
}

// busy does something to a context in the middle of an execution, which has to end so.
func busy(ending string, do func(r *resident, ctx context.Context, containerID string) error) func(*resident, context.Context) error {
	return func(r *resident, ctx context.Context) error {
		id, err := r.containerID(ctx)
		if err != nil {
			return err
		}
		o, err := r.watch(ctx, func(st *stream) (bool, error) {
			if st.got.stdout == "" {
				return false, nil
			}
			return true, do(r, ctx, id)
		}, forAMinute+"time.sleep(60)")
		switch {
		case errors.Is(err, errCut) && ending == "restarted": // or not: who restarts knows without being told
			r.may = append(r.may, gone)
			return err
		case err != nil:
			return err
		case o.state != "lost":
			return fmt.Errorf("state survived its container: %+v", o)
		}
		return wants(o, ending)
	}
}

func (r *resident) restartIdle(ctx context.Context) error {
	err := r.call(func() error { return r.restart(ctx, "") })
	switch {
	case errors.Is(err, errCut):
		r.may = append(r.may, gone)
	case err == nil:
		r.may = []string{gone}
	}
	return err
}

func (r *resident) restart(ctx context.Context, _ string) error {
	return r.s.web.client.Restart(ctx, r.id)
}

func (r *resident) replace(ctx context.Context) error {
	err := r.call(func() error { return r.s.web.client.Remove(ctx, r.id) })
	if errors.Is(err, errCut) {
		r.s.tally.count(&r.s.tally.orphans)
	}
	if err == nil || errors.Is(err, errCut) {
		r.id = ""
	}
	return err
}

func (r *resident) removedIdle(ctx context.Context) error {
	id, err := r.containerID(ctx)
	if err != nil {
		return err
	}
	r.may = nil
	return r.removeContainer(ctx, id)
}

func (r *resident) removeContainer(ctx context.Context, id string) error {
	return r.s.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
}

func (r *resident) killContainer(ctx context.Context, id string) error {
	return r.s.docker.ContainerKill(ctx, id, "KILL")
}
