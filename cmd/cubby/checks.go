package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	units "github.com/docker/go-units"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// Free disk below which doctor warns or fails: an image needs about 2 GB while it is built.
const (
	diskWarn = 4 << 30
	diskFail = 256 << 20
)

// checkEngine tells where the engine is and what it is.
func checkEngine(info docker.Info) []check {
	either := func(version string) string {
		if version == "" {
			return "unknown"
		}
		return version
	}
	checks := []check{
		{"engine", statusOK, fmt.Sprintf("%s (found by: %s)", info.Endpoint.Host, info.Endpoint.Source), ""},
		{"versions", statusOK, fmt.Sprintf("engine %s, API %s, runc %s, containerd %s, %s, %s", info.Version, info.API,
			either(info.Runc), either(info.Containerd), info.OS, info.Architecture), ""},
		{"cgroup", statusOK, fmt.Sprintf("version %s, driver %s", either(info.CgroupVersion), either(info.CgroupDriver)), ""},
	}
	if info.CgroupVersion == "" {
		checks[2].Status, checks[2].Remedy = statusWarn, "the engine does not say what bounds its containers; upgrade it"
	}
	return checks
}

// checkLimits names the limits that the host drops.
func checkLimits(info docker.Info, strict bool) check {
	if len(info.Dropped) == 0 {
		return check{"limits", statusOK, "the host enforces memory, swap, pids and cpus", ""}
	}
	c := check{
		"limits", statusWarn, "the host does not enforce: " + strings.Join(info.Dropped, ", "),
		"enable the controllers (on Debian and Ubuntu: cgroup_enable=memory swapaccount=1 on the kernel's command line), or " +
			"move to a host with cgroup version 2",
	}
	if strict {
		c.Status = statusFail
	}
	return c
}

// runtimeRemedy is what to do about a runtime that the engine does not have.
const runtimeRemedy = "add it to the engine's daemon.json, or choose another with --runtime"

// checkRuntime looks for the configured runtime.
func checkRuntime(info docker.Info, runtime string) check {
	if runtime == "" {
		return check{"runtime", statusOK, info.DefaultRuntime + " (the engine's default)", ""}
	}
	if err := lackOfRuntime(info, runtime); err != nil {
		return check{"runtime", statusFail, err.Error(), runtimeRemedy}
	}
	return check{"runtime", statusOK, runtime, ""}
}

// lackOfRuntime is the error of a runtime that the engine does not have. It takes paths and names such as
// io.containerd.kata.v2 without listing them: whether there is such a thing shows when a container starts.
func lackOfRuntime(info docker.Info, runtime string) error {
	if runtime == "" || slices.Contains(info.Runtimes, runtime) || strings.ContainsAny(runtime, "./") {
		return nil
	}
	return fmt.Errorf("the engine has no runtime %q, but %s", runtime, strings.Join(info.Runtimes, ", "))
}

// checkLanguages looks for the images of the configured languages.
func (a *app) checkLanguages(ctx context.Context, e engine, arch string) []check {
	there, err := a.catalog(ctx, e, arch)
	if err != nil {
		return []check{{"images", statusFail, err.Error(), remedyOf(err)}}
	}
	chosen, err := there.choose(a.config.Languages)
	if err != nil {
		return []check{{"images", statusFail, err.Error(), "mend --languages"}}
	}
	listed, err := a.listImages(ctx, e)
	if err != nil {
		return []check{{"images", statusFail, err.Error(), remedyOf(err)}}
	}
	return imageChecks(chosen, listed)
}

// remedyOf returns what to do where the images cannot be looked for.
func remedyOf(err error) string {
	if errors.Is(err, images.ErrNoSupervisor) {
		return "make build, which embeds the supervisor"
	}
	return "look at the engine's log"
}

// imageChecks tells of each language whether its image is current. A server starts without those that are missing, but
// for the default language's, and not without any.
func imageChecks(chosen []choice, listed []listedImage) []check {
	checks := make([]check, 0, len(chosen))
	usable := false
	for _, l := range chosen {
		c := imageCheck(l, listed)
		usable = usable || c.Status == statusOK
		checks = append(checks, c)
	}
	for i, l := range chosen {
		if checks[i].Status != statusOK && (l.Name == orchestrator.DefaultLanguage || !usable) {
			checks[i].Status = statusFail
		}
	}
	return checks
}

// imageCheck tells whether a language's image is current.
func imageCheck(l choice, listed []listedImage) check {
	name, text := cmp.Or(l.image, l.Name), l.Name
	c := check{"image", statusWarn, text + ": missing", "cubby images build " + name}
	if l.image == "" {
		c.Remedy = "add it again: cubby images add " + name + " …"
	} else if name != l.Name {
		text += " (" + name + ")"
	}
	for _, image := range listed {
		switch {
		case image.Language != name || image.Packages:
		case image.Status == imageCurrent:
			c.Status, c.Text, c.Remedy = statusOK, fmt.Sprintf("%s: %s, %s", text, image.Tag, units.HumanSize(float64(image.SizeBytes))), ""
		case image.Status == imageOld && c.Status != statusOK:
			c.Text = text + ": of another version of cubby"
		}
	}
	return c
}

// checkDisk tells how much room there is where a directory is, or will be.
func checkDisk(name, dir string) check {
	free, err := freeDisk(dir)
	if err != nil {
		return check{name, statusWarn, fmt.Sprintf("%s: %v", dir, err), "make the directory readable to see how much room it has"}
	}
	c := check{name, statusOK, fmt.Sprintf("%s: %s free", dir, units.HumanSize(float64(free))), ""}
	switch {
	case free < diskFail:
		c.Status = statusFail
	case free < diskWarn:
		c.Status = statusWarn
	}
	if c.Status != statusOK {
		c.Remedy = "make room; docker system df shows what the engine holds"
	}
	return c
}

// freeDisk returns the bytes that are free where a path is, or will be.
func freeDisk(path string) (uint64, error) {
	var stat syscall.Statfs_t
	err := syscall.Statfs(path, &stat)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		return freeDisk(filepath.Dir(path))
	}
	if err != nil {
		return 0, err
	}
	return stat.Bavail * uint64(stat.Bsize), nil //nolint:gosec // a size is positive
}

// checkCA tells which certificates image builds trust.
func checkCA() check {
	ca, err := images.HostCA()
	switch {
	case err != nil:
		return check{"CA bundle", statusWarn, err.Error(), "make the bundle readable"}
	case len(ca) == 0:
		return check{"CA bundle", statusWarn, "none on this machine; builds trust their base image's", "install ca-certificates"}
	}
	return check{"CA bundle", statusOK, fmt.Sprintf("%d certificates", bytes.Count(ca, []byte("BEGIN CERTIFICATE"))), ""}
}

// checkState tells whether a server has the state directory, or can have it. It leaves nothing and keeps nobody out: a
// server that starts at this moment waits for a lock longer than this one is held.
func checkState(dir string) check {
	c := check{"state", statusOK, dir, ""}
	file, err := os.OpenFile(filepath.Join(dir, "state.db"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		c.Text += ": no server has run here yet"
		if err = tryDir(dir); err == nil {
			return c
		}
	}
	if err != nil {
		return check{
			"state", statusFail, fmt.Sprintf("%s cannot be used: %v", dir, err),
			"run as a user who may write there, or name another directory with --state-dir",
		}
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		c.Text += ": in use by a server"
	case err != nil:
		return check{"state", statusWarn, fmt.Sprintf("%s: %v", dir, err), "use a file system that has locks"}
	default:
		c.Text += ": no server runs"
	}
	return c
}

// tryDir tells whether files can be made in a directory, or the directory itself, by making one and removing it.
func tryDir(dir string) error {
	probe, err := os.MkdirTemp(dir, ".cubby-doctor-")
	var failed *fs.PathError
	switch {
	case err == nil:
		return os.Remove(probe)
	case errors.Is(err, fs.ErrNotExist) && isMissing(dir):
		return tryDir(filepath.Dir(dir))
	case errors.As(err, &failed):
		err = failed.Err
	}
	return fmt.Errorf("make a directory in %s: %w", dir, err)
}

// isMissing reports whether there is nothing of that name.
func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// isHere reports whether an engine's files are on this machine. A socket can lead into a virtual one.
func isHere(info docker.Info) bool {
	return strings.HasPrefix(info.Endpoint.Host, "unix://") && !isMissing(info.RootDir)
}
