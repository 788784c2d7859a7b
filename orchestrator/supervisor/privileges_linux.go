package supervisor

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spareThreads is how many OS threads are started before user code can use up the container's pids.
const spareThreads = 24

// keptCapabilities are what a supervisor needs for the rest of its life.
var keptCapabilities = []int{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_KILL}

// startThreads makes the runtime start count threads, which stay, idle, for the system calls to come.
func startThreads(count int) {
	var started, released, ended sync.WaitGroup
	started.Add(count)
	released.Add(1)
	for range count {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			released.Wait()
		})
	}
	started.Wait()
	released.Done()
	ended.Wait()
}

// dropCapabilities leaves all threads of this process with the kept capabilities at most, for good.
func dropCapabilities() error {
	for capability := 0; capability <= unix.CAP_LAST_CAP; capability++ {
		if slices.Contains(keptCapabilities, capability) {
			continue
		}
		_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(capability), 0)
		if errno != 0 && errno != unix.EINVAL { // an older kernel knows fewer
			return fmt.Errorf("drop capability %d from the bounding set: %w", capability, errno)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	var mask uint32
	for _, capability := range keptCapabilities {
		mask |= 1 << capability
	}
	kept := [2]unix.CapUserData{{Effective: have[0].Permitted & mask, Permitted: have[0].Permitted & mask}}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&kept[0])), 0) //nolint:gosec // as capset(2) wants it
	if errno != 0 {
		return fmt.Errorf("drop capabilities: %w", errno)
	}
	return nil
}

// prepareHome gives the user the workspace, if it is not theirs already, and opens it to them, if they have closed it.
// What is in it stays as it is.
func prepareHome(path string, user *userThread) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the workspace %s: %w", path, err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("look at the workspace %s: %w", path, err)
	}
	if int(stat.Uid) != user.uid {
		if err := unix.Fchownat(fd, "", user.uid, user.uid, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("give the workspace %s to uid %d: %w", path, user.uid, err)
		}
	}
	if mode := stat.Mode & 0o7777; mode&unix.S_IRWXU != unix.S_IRWXU {
		// As its owner: this process need not have the capability to change the mode of what is another's.
		if err := user.do(func() error { return unix.Chmod(path, mode|unix.S_IRWXU) }); err != nil {
			return fmt.Errorf("open the workspace %s to uid %d: %w", path, user.uid, err)
		}
	}
	return nil
}

// writeNames gives the uid a name: the image's /etc/passwd and /etc/group are links to these files.
func writeNames(passwd, group string, uid int) error {
	users := fmt.Sprintf("root:x:0:0:root:/:/usr/sbin/nologin\nuser:x:%d:%d:user:%s:/bin/bash\n", uid, uid, Home)
	groups := fmt.Sprintf("root:x:0:\nuser:x:%d:\n", uid)
	for _, file := range []struct{ path, text string }{
		{passwd, users + "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"},
		{group, groups + "nogroup:x:65534:\n"},
	} {
		if err := os.WriteFile(file.path, []byte(strings.TrimLeft(file.text, "\n")), 0o644); err != nil { //nolint:gosec // for all to read
			return fmt.Errorf("name the user: %w", err)
		}
	}
	return nil
}
