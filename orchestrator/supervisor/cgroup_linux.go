package supervisor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupRoot is where a container sees its own control groups.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupMeter returns a function that reads what the container uses from its control groups under root, version 1 or
// 2. What cannot be read is 0.
func cgroupMeter(root string) func() Sample {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return func() Sample {
			return Sample{
				CPUMillis:   readField(filepath.Join(root, "cpu.stat"), "usage_usec") / 1000,
				MemoryBytes: readField(filepath.Join(root, "memory.current"), ""),
				OOMKills:    readField(filepath.Join(root, "memory.events"), "oom_kill"),
			}
		}
	}
	return func() Sample {
		return Sample{
			CPUMillis:   readField(filepath.Join(root, "cpuacct/cpuacct.usage"), "") / 1_000_000,
			MemoryBytes: readField(filepath.Join(root, "memory/memory.usage_in_bytes"), ""),
			OOMKills:    readField(filepath.Join(root, "memory/memory.oom_control"), "oom_kill"),
		}
	}
}

// readField reads the number after a name in a file of "name number" lines, or the only number of a file.
func readField(path, name string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || (name != "" && (len(fields) != 2 || fields[0] != name)) {
			continue
		}
		number, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		if err == nil {
			return number
		}
	}
	return 0
}
