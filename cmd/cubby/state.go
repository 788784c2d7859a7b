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
			return nil, fmt.Errorf("%w%s: stop that one, or give this one a directory of its own with --state-dir", err, holder(dir))
		case !told:
			log.Info("waiting for the state directory, which another server has"+holder(dir), "limit", a.statePatience)
		}
	}
}

// holder says which process holds a state directory, where the system tells.
func holder(dir string) string {
	path := filepath.Join(dir, "state.db")
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	file, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return "" // no Linux
	}
	if pid := lockHolder(string(locks), file.Ino); pid != 0 {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
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
