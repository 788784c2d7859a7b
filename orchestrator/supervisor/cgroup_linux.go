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
	if isVersion2(root) {
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

// cgroupPressure returns a function that reads what fills the container's memory, as cgroupMeter does.
func cgroupPressure(root string) func() Pressure {
	in := func(name string) string { return filepath.Join(root, name) }
	limit, used, stat := in("memory/memory.limit_in_bytes"), in("memory/memory.usage_in_bytes"), in("memory/memory.stat")
	prefix, mapped := "total_", "mapped_file"
	cpu, user, system := in("cpuacct/cpuacct.stat"), "user", "system"
	millis := func(hundredths int64) int64 { return hundredths * 10 }
	if isVersion2(root) {
		limit, used, stat = in("memory.max"), in("memory.current"), in("memory.stat")
		prefix, mapped = "", "file_mapped"
		cpu, user, system = in("cpu.stat"), "user_usec", "system_usec"
		millis = func(micros int64) int64 { return micros / 1000 }
	}
	return func() Pressure {
		pages, times := readFields(stat), readFields(cpu)
		return Pressure{
			LimitBytes:   readField(limit, ""),
			UsedBytes:    readField(used, ""),
			FileBytes:    pages[prefix+"inactive_file"] + pages[prefix+"active_file"],
			MappedBytes:  pages[prefix+mapped],
			MajorFaults:  pages[prefix+"pgmajfault"],
			Refaults:     pages[prefix+"workingset_refault_file"], // Linux before 5.9 does not tell them apart
			UserMillis:   millis(times[user]),
			SystemMillis: millis(times[system]),
		}
	}
}

// isVersion2 reports whether the control groups under root are of version 2.
func isVersion2(root string) bool {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return err == nil
}

// readField reads the number after a name in a file of "name number" lines, or the only number of a file.
func readField(path, name string) int64 { return readFields(path)[name] }

// readFields reads all the numbers of such a file by their names; an only one has none.
func readFields(path string) map[string]int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	fields := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, number, named := strings.Cut(strings.TrimSpace(line), " ")
		if !named {
			name, number = "", name
		}
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			fields[name] = n
		}
	}
	return fields
}
