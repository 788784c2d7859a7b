package supervisor

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// userOOMScore is added to the badness of the user's processes when memory runs out, in thousandths of the limit: they
// die before PID 1 does, however small they are.
const userOOMScore = 500

// Home is the home directory of the user.
const Home = "/home/user"

// spawn starts the kernel's process as the user, without any capability and without any to gain. The files are its
// descriptors from 0 on.
func (r *Reaper) spawn(language Language, uid int, files ...*os.File) (*process, error) {
	program := language.Argv[0]
	fds := make([]uintptr, len(files))
	for i, file := range files {
		fds[i] = file.Fd()
	}
	dir := "/" // the workspace may be closed to its own user
	if language.untellable() {
		dir = Home
	}
	attr := &syscall.ProcAttr{
		Dir:   dir,
		Env:   kernelEnv(language.Env),
		Files: fds,
		Sys: &syscall.SysProcAttr{
			Setsid:     true,
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}, //nolint:gosec // a uid
		},
	}
	type outcome struct {
		p   *process
		err error
	}
	result := make(chan outcome)
	go func() {
		runtime.LockOSThread() // for good: a thread without a bounding set must not be used for anything else
		if err := renounce(); err != nil {
			result <- outcome{nil, err}
			return
		}
		p, err := r.start(func() (int, error) {
			return withOOMScore(userOOMScore, func() (int, error) { return syscall.ForkExec(program, language.Argv, attr) })
		})
		result <- outcome{p, err}
	}()
	spawned := <-result
	if spawned.err != nil {
		return nil, fmt.Errorf("start %s: %w", program, spawned.err)
	}
	return spawned.p, nil
}

// kernelEnv returns the environment of a kernel.
func kernelEnv(more map[string]string) []string {
	env := map[string]string{
		"HOME": Home, "USER": "user", "LOGNAME": "user", "LANG": "C.UTF-8",
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	for name, value := range more {
		env[name] = value
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// renounce empties the bounding and inheritable sets of this thread, which its children start with. It keeps what the
// thread needs to change its uid.
func renounce() error {
	for capability := 0; capability <= unix.CAP_LAST_CAP; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
		if err != nil && err != unix.EINVAL { // an older kernel knows fewer
			return fmt.Errorf("empty the bounding set: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("renounce new privileges: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("empty the inheritable set: %w", err)
	}
	return nil
}

// withOOMScore calls fork while this process has a higher oom_score_adj, which a child inherits. A process may lower
// its own again without a capability, but not that of another user's.
func withOOMScore(score int, fork func() (int, error)) (int, error) {
	const path = "/proc/self/oom_score_adj"
	own, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read oom_score_adj: %w", err)
	}
	if current, err := strconv.Atoi(strings.TrimSpace(string(own))); err == nil && current >= score {
		return fork()
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(score)), 0); err != nil {
		return 0, fmt.Errorf("raise oom_score_adj: %w", err)
	}
	pid, err := fork()
	_ = os.WriteFile(path, own, 0) // or PID 1 is as exposed as its kernel, which is no reason to have none
	return pid, err
}
