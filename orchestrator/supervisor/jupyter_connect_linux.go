package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dialEvery is how often a socket of a kernel that boots is tried.
	dialEvery = 5 * time.Millisecond
	// restTime bounds the reading of what a dead kernel has left in its sockets, which others may have inherited.
	restTime = 200 * time.Millisecond
)

// jupyterDir is a directory of the user's for a kernel's sockets and its connection file. It is there until the kernel
// has booted; after that nobody else can connect any more.
type jupyterDir struct {
	path string
	user *userThread
}

// jupyterChannels are the sockets of a kernel by the numbers that the connection file calls ports.
var jupyterChannels = []string{"shell", "iopub", "stdin", "control", "hb"}

// newJupyterDir makes the directory and the connection file.
func newJupyterDir(user *userThread, key string) (*jupyterDir, error) {
	d := &jupyterDir{path: "/tmp/.jupyter-" + rand.Text(), user: user}
	content := map[string]any{
		"transport": "ipc", "ip": d.path + "/kernel", "key": key, "signature_scheme": "hmac-sha256",
	}
	for i, name := range jupyterChannels {
		content[name+"_port"] = i + 1
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode the connection file: %w", err)
	}
	err = user.do(func() error {
		if err := unix.Mkdir(d.path, 0o700); err != nil {
			return err
		}
		fd, err := unix.Open(d.file(), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, err = unix.Write(fd, text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write the kernel's connection file: %w", errors.Join(err, d.remove()))
	}
	return d, nil
}

// file returns the path of the connection file.
func (d *jupyterDir) file() string { return d.path + "/connection.json" }

// socket returns the path of a channel's socket.
func (d *jupyterDir) socket(channel int) string {
	return fmt.Sprintf("%s/kernel-%d", d.path, channel+1)
}

// remove removes the directory, as far as it is still as it was made.
func (d *jupyterDir) remove() error {
	return d.user.do(func() error {
		_ = unix.Unlink(d.file())
		for i := range jupyterChannels {
			_ = unix.Unlink(d.socket(i))
		}
		if err := unix.Rmdir(d.path); err != nil && err != unix.ENOENT && err != unix.ENOTEMPTY {
			return err
		}
		return nil
	})
}

// dial connects to a channel, as the user, once the kernel listens. It gives up when gone is closed or ctx ends.
func (d *jupyterDir) dial(ctx context.Context, channel int, gone <-chan struct{}) (net.Conn, error) {
	tries := time.NewTicker(dialEvery)
	defer tries.Stop()
	for {
		conn, err := d.connect(d.socket(channel))
		if err == nil {
			return conn, nil
		}
		select {
		case <-tries.C:
		case <-gone:
			return nil, ErrExited
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to the kernel's %s: %w: %w", jupyterChannels[channel], ctx.Err(), err)
		}
	}
}

// connect tries once.
func (d *jupyterDir) connect(path string) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close() // FileConn has its own descriptor
	err = d.user.do(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	if err != nil {
		return nil, err
	}
	return net.FileConn(file)
}

// jupyterWire are the connections to a kernel.
type jupyterWire struct {
	jupyterSigner
	shell, iopub, stdin, control *zmtpConn
	reading                      sync.WaitGroup
	broken                       chan struct{} // closed when one of them has ended
	once                         sync.Once
}

// connectJupyter connects to all channels of a kernel that boots.
func connectJupyter(
	ctx context.Context, d *jupyterDir, signer jupyterSigner, gone <-chan struct{},
) (*jupyterWire, error) {
	w := &jupyterWire{jupyterSigner: signer, broken: make(chan struct{})}
	identity := rand.Text() // one for all: it is the name by which the kernel asks back
	for i, end := range []**zmtpConn{&w.shell, &w.iopub, &w.stdin, &w.control} {
		conn, err := d.dial(ctx, i, gone)
		if err != nil {
			w.close()
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		socket := zmtpDealer
		if jupyterChannels[i] == "iopub" {
			socket = zmtpSub
		}
		*end, err = openZMTP(conn, socket, identity)
		stop()
		if err != nil {
			w.close()
			return nil, errors.Join(fmt.Errorf("connect to the kernel's %s: %w", jupyterChannels[i], err), conn.Close())
		}
	}
	return w, nil
}

// connections returns those that there are.
func (w *jupyterWire) connections() (all []*zmtpConn) {
	for _, z := range []*zmtpConn{w.shell, w.iopub, w.stdin, w.control} {
		if z != nil {
			all = append(all, z)
		}
	}
	return all
}

// read hands the messages of a connection to take until it ends.
func (w *jupyterWire) read(z *zmtpConn, take func(jupyterMessage)) {
	w.reading.Go(func() {
		defer w.once.Do(func() { close(w.broken) })
		for {
			msg, err := w.receive(z)
			if err != nil {
				return
			}
			if msg.forged {
				continue
			}
			z.busy.Store(true)
			take(msg)
			z.busy.Store(false)
		}
	})
}

// send sends a request on a connection.
func (w *jupyterWire) send(z *zmtpConn, kind, id string, parent, content any) error {
	parts, err := w.message(kind, id, parent, content)
	if err != nil {
		return err
	}
	if err := z.send(parts); err != nil {
		return fmt.Errorf("send the kernel's %s: %w", kind, err)
	}
	return nil
}

// giveUp ends the reads and writes that wait, after a while, and fails those to come.
func (w *jupyterWire) giveUp(after time.Duration) {
	for _, z := range w.connections() {
		z.giveUp(after)
	}
}

// close closes all connections.
func (w *jupyterWire) close() {
	for _, z := range w.connections() {
		_ = z.conn.Close()
	}
}
