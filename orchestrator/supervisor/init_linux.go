package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Where things are in a container.
const (
	// SocketPath is the socket that bridges connect to.
	SocketPath = "/run/cubby/supervisor.sock"
	// LanguagePath is what the image says of its language.
	LanguagePath = "/opt/cubby/language.json"

	// cellsPath is where bash finds its code and the pipes for its output.
	cellsPath = "/run/cells"

	passwdPath = "/run/passwd"
	groupPath  = "/run/group"
)

// memoryLimit is what the Go runtime tries to stay under: the journal, the queue and a few frames in the making.
const memoryLimit = 96 << 20

// InitConfig is how PID 1 of a container is set up.
type InitConfig struct {
	UID      int           // the user's uid and gid, not 0
	Lease    time.Duration // end after this long without a bridge; 0: never
	Language string        // the path of language.json
}

// Init is the life of PID 1. It returns nil when ctx has ended or its lease has run out, with every process of the user
// killed. It changes privileges of the whole process and is called once, from main.
func Init(ctx context.Context, cfg InitConfig) error {
	if cfg.UID <= 0 {
		return fmt.Errorf("the user's uid is %d: it must be that of an ordinary user", cfg.UID)
	}
	language, fault := LoadLanguage(cfg.Language)
	user, walker := newUserThread(cfg.UID), newUserThread(cfg.UID)
	if err := prepare(user, walker); err != nil {
		return err
	}
	listener, err := listen(SocketPath)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	reaper := NewReaper()
	adapter := newAdapter(language, user, reaper)
	if fault != nil { // there is somebody to tell as soon as a bridge is attached
		adapter = newBroken(fault)
	}
	s := New(Config{
		Adapter:   adapter,
		Language:  language.Name,
		Meter:     cgroupMeter(cgroupRoot),
		Pressure:  cgroupPressure(cgroupRoot),
		Workspace: &workspace{path: Home, user: walker},
	})
	var reaping, serving sync.WaitGroup
	reaperCtx, stopReaper := context.WithCancel(context.WithoutCancel(ctx)) // it outlives what it reaps for
	reaping.Go(func() { reaper.Run(reaperCtx) })
	var running, listening error
	serving.Go(func() { running = s.Run(ctx) })
	serving.Go(func() { listening = s.Serve(ctx, listener); cancel() })
	if cfg.Lease > 0 {
		serving.Go(func() {
			if s.WaitAbandoned(ctx, cfg.Lease) == nil {
				cancel()
			}
		})
	}
	serving.Wait()
	stopReaper()
	reaping.Wait()
	return errors.Join(running, listening)
}

// newAdapter returns the adapter that an image's language asks for.
func newAdapter(language Language, user *userThread, reaper *Reaper) Adapter {
	switch language.Adapter {
	case adapterBash:
		return newBash(language, user, reaper, cellsPath)
	case adapterJupyter:
		return newJupyter(language, user, reaper)
	default:
		return newNative(language, user, reaper)
	}
}

// prepare sets the container and this process up for code that is not to be trusted.
func prepare(user, walker *userThread) error {
	debug.SetMemoryLimit(memoryLimit)
	catchSignals()
	if err := lockProgram(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the supervisor undumpable: %w", err)
	}
	if err := prepareHome(Home, user); err != nil {
		return err
	}
	if err := writeNames(passwdPath, groupPath, user.uid); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	startThreads(spareThreads)
	return errors.Join(user.deafen(), walker.deafen())
}

// catchSignals lets every signal that can be caught pass without effect, SIGTERM included: no signal is an order here. A
// container is removed by force; docker stop waits its ten seconds and kills. The signals are caught and not ignored,
// since a process that is started inherits what is ignored.
func catchSignals() {
	signal.Notify(make(chan os.Signal, 1)) // nobody reads it
}

// listen makes the socket, which only root can reach.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove an old socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for bridges: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the socket to others: %w", err), listener.Close())
	}
	return rootListener{listener}, nil
}

// rootListener accepts connections of root only.
type rootListener struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l rootListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && uid == 0 {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// peerUID returns the uid of the process at the other end.
func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(peer.Uid), nil
}
