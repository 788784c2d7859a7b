package supervisor

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The ZeroMQ message transport protocol, version 3.0 with the mechanism NULL, as far as a client needs it. It is our own
// because the peer may be run by user code, which must be able neither to end PID 1 nor to make it take up memory: every
// length that a peer names is bounded before anything is allocated.
const (
	zmtpMore    = 1 // flags of a frame
	zmtpLong    = 2
	zmtpCommand = 4

	zmtpGreeting = 64 // the length of a greeting
	zmtpShort    = 255
)

// The types of a client's sockets.
const (
	zmtpDealer = "DEALER"
	zmtpSub    = "SUB"
)

// zmtpConn is one connection. One goroutine at a time may receive; any may send.
type zmtpConn struct {
	conn    net.Conn
	in      *bufio.Reader
	taken   atomic.Int64 // bytes that have come in
	busy    atomic.Bool  // a message is being looked at
	writing sync.Mutex
}

// Read reads for in.
func (z *zmtpConn) Read(buffer []byte) (int, error) {
	n, err := z.conn.Read(buffer)
	z.taken.Add(int64(n))
	return n, err
}

// openZMTP shakes hands over a connection, as a socket of that type and identity. A SUB socket subscribes to all.
func openZMTP(conn net.Conn, socket, identity string) (*zmtpConn, error) {
	z := &zmtpConn{conn: conn}
	z.in = bufio.NewReaderSize(z, readSize)
	greeting := make([]byte, zmtpGreeting)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	ready := zmtpProperty(zmtpProperty([]byte("\x05READY"), "Socket-Type", socket), "Identity", identity)
	hello := append(append(greeting, zmtpCommand, byte(len(ready))), ready...) //nolint:gosec // short
	if _, err := conn.Write(hello); err != nil {
		return nil, fmt.Errorf("greet the kernel: %w", err)
	}
	if _, err := io.ReadFull(z.in, greeting); err != nil {
		return nil, fmt.Errorf("read the kernel's greeting: %w", err)
	}
	if greeting[0] != 0xff || greeting[9] != 0x7f || greeting[10] < 3 {
		return nil, fmt.Errorf("kernel greets with %x, which is not ZMTP 3", greeting[:12])
	}
	flags, size, err := z.frame()
	if err == nil && flags&zmtpCommand == 0 {
		err = errors.New("no command")
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, z.in, size)
	}
	if err != nil {
		return nil, fmt.Errorf("read what the kernel's socket is: %w", err)
	}
	if socket == zmtpSub {
		return z, z.send([][]byte{{1}})
	}
	return z, nil
}

// zmtpProperty appends a property of a handshake.
func zmtpProperty(to []byte, name, value string) []byte {
	to = append(append(to, byte(len(name))), name...)                              //nolint:gosec // short
	return append(binary.BigEndian.AppendUint32(to, uint32(len(value))), value...) //nolint:gosec // short
}

// send sends one message of several parts.
func (z *zmtpConn) send(parts [][]byte) error {
	var message net.Buffers
	for i, part := range parts {
		var flags byte
		if i < len(parts)-1 {
			flags = zmtpMore
		}
		head := []byte{flags, byte(len(part))} //nolint:gosec // the length of a short one
		if len(part) > zmtpShort {
			head = binary.BigEndian.AppendUint64([]byte{flags | zmtpLong}, uint64(len(part)))
		}
		message = append(message, head, part)
	}
	z.writing.Lock()
	defer z.writing.Unlock()
	_, err := message.WriteTo(z.conn)
	return err
}

// frame reads the head of the next frame; size bytes follow.
func (z *zmtpConn) frame() (flags byte, size int64, err error) {
	if flags, err = z.in.ReadByte(); err != nil {
		return 0, 0, err
	}
	if flags&zmtpLong == 0 {
		short, err := z.in.ReadByte()
		return flags, int64(short), err
	}
	var long [8]byte
	if _, err := io.ReadFull(z.in, long[:]); err != nil {
		return 0, 0, err
	}
	size = int64(binary.BigEndian.Uint64(long[:])) //nolint:gosec // checked
	if size < 0 {
		return 0, 0, errors.New("a frame of more bytes than there are")
	}
	return flags, size, nil
}

// skipCommands reads the head of the next frame that is part of a message.
func (z *zmtpConn) skipCommands() (more bool, size int64, err error) {
	for {
		flags, size, err := z.frame()
		if err != nil {
			return false, 0, err
		}
		if flags&zmtpCommand == 0 {
			return flags&zmtpMore != 0, size, nil
		}
		if _, err := io.CopyN(io.Discard, z.in, size); err != nil {
			return false, 0, err
		}
	}
}

// zmtpPart is a part of a message: the whole of it, or the ends of one that is longer than was asked for.
type zmtpPart struct {
	head []byte // the whole, if tail is empty
	tail []byte
	size int64
}

// whole reports whether nothing is missing.
func (p *zmtpPart) whole() bool { return int64(len(p.head)) == p.size }

// read reads a part of which it keeps no more than limit bytes, or else sketchSize bytes of either end. The sum is of all
// its bytes.
func (z *zmtpConn) read(size, limit int64, sum hash.Hash) (zmtpPart, error) {
	part := zmtpPart{size: size}
	kept := size
	if size > limit {
		kept = min(size, sketchSize)
	}
	part.head = make([]byte, kept)
	if _, err := io.ReadFull(z.in, part.head); err != nil {
		return part, err
	}
	sum.Write(part.head)
	buffer := make([]byte, min(size-kept, sketchSize))
	for left := size - kept; left > 0; {
		n, err := z.in.Read(buffer[:min(left, sketchSize)])
		sum.Write(buffer[:n])
		left -= int64(n)
		part.tail = append(part.tail, buffer[:n]...)
		if excess := len(part.tail) - sketchSize; excess > 0 {
			part.tail = append(part.tail[:0], part.tail[excess:]...)
		}
		if err != nil {
			return part, err
		}
	}
	return part, nil
}

// giveUp ends the reads and writes that wait after a while, and fails those to come.
func (z *zmtpConn) giveUp(after time.Duration) { _ = z.conn.SetDeadline(time.Now().Add(after)) }
