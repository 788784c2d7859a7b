package supervisor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// restReads bounds the reads for what a dead kernel has left: more than a socket's buffer holds.
const restReads = 1024

// channel is our end of the socketpair to a driver.
type channel struct {
	conn    *net.UnixConn
	driver  uint64 // the inode of the driver's end
	writing sync.Mutex
}

// newChannel makes the socketpair, of a stream or of packets (unix.SOCK_SEQPACKET). The caller closes the driver's end
// once the driver has it.
func newChannel(kind int) (*channel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the kernel's channel: %w", err)
	}
	own, driver := os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "driver's channel")
	defer own.Close() // FileConn has its own descriptor
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("ask for credentials: %w", err), driver.Close())
	}
	var end unix.Stat_t
	if err := unix.Fstat(fds[1], &end); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("look at the kernel's channel: %w", err), driver.Close())
	}
	conn, err := net.FileConn(own)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make the kernel's channel: %w", err), driver.Close())
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("the kernel's channel is a %T", conn), conn.Close(), driver.Close())
	}
	return &channel{conn: unixConn, driver: end.Ino}, driver, nil
}

// send writes a frame. Files go with its first bytes.
func (c *channel) send(req driverRequest, files ...*os.File) error {
	frame, err := kernel.EncodeFrame(req)
	if err != nil {
		return fmt.Errorf("encode the kernel's %s: %w", req.Op, err)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, file := range files {
			fds[i] = int(file.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	n, _, err := c.conn.WriteMsgUnix(frame, rights, nil)
	if err == nil && n < len(frame) {
		_, err = c.conn.Write(frame[n:])
	}
	if err != nil {
		return fmt.Errorf("send the kernel's %s: %w", req.Op, err)
	}
	return nil
}

// write sends text to a kernel that reads it as it comes, in packets if the channel is one of packets.
func (c *channel) write(text string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	for rest := []byte(text); len(rest) > 0; {
		n, err := c.conn.Write(rest[:min(len(rest), packetSize)])
		if err != nil {
			return fmt.Errorf("send the kernel a line: %w", err)
		}
		rest = rest[n:]
	}
	return nil
}

// unread returns more than 0 as long as the kernel has not read everything that it was sent.
func (c *channel) unread() (size int) {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { size, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return size
}

// receive reads bytes that the process pid has sent; what others send is passed over. The kernel never gives bytes of
// two senders in one read. At the end, or after a deadline, it returns the error of the read.
func (c *channel) receive(buffer []byte, pid int) (int, error) {
	credentials := make([]byte, unix.CmsgSpace(unix.SizeofUcred)) // no room for files, so none are taken in
	for {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(buffer, credentials)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, io.EOF
		}
		if senderOf(credentials[:oobn]) == pid {
			return n, nil
		}
	}
}

// giveUp ends the reads and writes that wait, and fails those to come.
func (c *channel) giveUp() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }

// rest reads without waiting what a dead process has left in the channel, and calls handle for its bytes. It is
// bounded, since a process that has inherited the channel may go on writing.
func (c *channel) rest(buffer []byte, pid int, handle func([]byte)) {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return
	}
	credentials := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for range restReads {
		n, oobn := 0, 0
		var read error
		err := raw.Control(func(fd uintptr) {
			n, oobn, _, _, read = unix.Recvmsg(int(fd), buffer, credentials, unix.MSG_DONTWAIT)
		})
		if err != nil || read != nil || n <= 0 {
			return
		}
		if senderOf(credentials[:oobn]) == pid {
			handle(buffer[:n])
		}
	}
}

// senderOf returns the pid in a control message, or 0.
func senderOf(control []byte) int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for i := range messages {
		if sender, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return int(sender.Pid)
		}
	}
	return 0
}
