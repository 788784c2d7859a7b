package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// lockProgram keeps this program in memory. Where memory thrashes (see thrashWatch), its own pages would else be dropped
// as well, and it would neither answer nor kill. A few megabytes are within what Linux lets every process lock; where an
// engine's RLIMIT_MEMLOCK is less, the error is nil, and a deadline may be late by as long as the memory thrashes.
func lockProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the supervisor's program: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("find the supervisor's program in memory: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(line, " "+program+"\n") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x ", &from, &to); err != nil {
			return fmt.Errorf("read the supervisor's memory map: %w", err)
		}
		_, _, failed := unix.Syscall(unix.SYS_MLOCK, from, to-from, 0)
		if failed != 0 && !errors.Is(failed, unix.ENOMEM) && !errors.Is(failed, unix.EPERM) {
			return fmt.Errorf("lock the supervisor's program: %w", failed)
		}
	}
	return nil
}
