package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cubby/orchestrator/store"
)

// statePatience is how long a server waits for the state directory: one that stops keeps it for shutdownGrace, and then
// for the time that it takes to let go.
const statePatience = shutdownGrace + 10*time.Second

// openStore opens the state directory, and waits for a server that is about to leave it.
func (a *app) openStore(ctx context.Context, log *slog.Logger) (*store.Store, error) {
	dir := a.config.StateDir
	waiting, cancel := context.WithTimeout(ctx, a.statePatience)
	defer cancel()
	for told := false; ; told = true {
		state, err := store.Open(dir) // which waits a little itself
		switch {
		case err == nil:
			return state, nil
		case !errors.Is(err, store.ErrInUse):
			return nil, fmt.Errorf("state directory %s: %w", dir, err)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("wait for the state directory: %w", ctx.Err())
		case waiting.Err() != nil:
			return nil, inUse(err, dir, "stop that one, or give this one a directory of its own with --state-dir")
		case !told:
			log.Info("waiting for the state directory, which another server has", "process", holder(dir), "limit", a.statePatience)
		}
	}
}

// inUse says who has a state directory, and what to do.
func inUse(err error, dir, remedy string) error {
	if pid := holder(dir); pid != 0 {
		return fmt.Errorf("%w (process %d): %s", err, pid, remedy)
	}
	return fmt.Errorf("%w: %s", err, remedy)
}

// holder returns the id of the process that holds a state directory, 0 where the system does not tell.
func holder(dir string) int {
	info, err := os.Stat(filepath.Join(dir, "state.db"))
	if err != nil {
		return 0
	}
	file, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0 // no Linux
	}
	return lockHolder(string(locks), file.Ino)
}

// lockHolder finds who holds a whole file in the text of /proc/locks, whose lines are like
//
//	1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF
//
// Only where one process alone holds such a file is it named, since the device is not that of stat on every file system.
// A holder in another pid namespace has the number 0.
func lockHolder(locks string, inode uint64) int {
	holder := 0
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], ":"+strconv.FormatUint(inode, 10)) {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || (holder != 0 && holder != pid) {
			return 0
		}
		holder = pid
	}
	return holder
}
