package kernel

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Sizes and times that both ends of the protocol agree on.
const (
	// Protocol is the version that a hello names. It rises when an older peer could misunderstand a newer one.
	Protocol = 2
	// MaxFrame is the length of the longest frame in bytes, its newline included.
	MaxFrame = 8 << 20
	// MaxText is the length of the longest text in one stdout or stderr event, in bytes.
	MaxText = 64 << 10
	// AckEvery is how many bytes of frames a reader takes before it acknowledges them.
	AckEvery = 64 << 10
	// Window is how many unacknowledged bytes of one execution a supervisor sends before it slows the kernel.
	Window = 4 << 20
	// AckPatience is how long a supervisor lets a reader that acknowledges nothing slow the kernel.
	AckPatience = time.Second
	// PingEvery is how often an orchestrator pings; a bridge that hears nothing for BridgeTimeout leaves.
	PingEvery = 5 * time.Second
	// BridgeTimeout is the silence after which a bridge gives its engine up for dead. 200 spinning processes on
	// one CPU delay a ping by 1.2 s (measured), so it must not be much shorter.
	BridgeTimeout = 20 * time.Second
	// Grace is how long an interrupted kernel has to show that the interrupt took, before it is killed.
	Grace = 2 * time.Second
	// QueueLength is how many executions wait behind the running one; one more is refused.
	QueueLength = 64
	// QueueBytes is how many bytes of code wait; an execution that would exceed it is refused.
	QueueBytes = 16 << 20
	// Remembered is how many finished executions a journal, and a session, remembers: more than can end while nobody is
	// attached. One that was forgotten then would be run again when it is repeated.
	Remembered = 2 * QueueLength
	// MaxKeptError is the length of the longest frame of an error that a journal keeps outside its ring, uncounted. A longer
	// one counts as output.
	MaxKeptError = 64 << 10
)

// Op names what a Request asks for.
type Op string

// The operations of a Request; see the package comment.
const (
	OpClaim     Op = "claim"
	OpExecute   Op = "execute"
	OpInterrupt Op = "interrupt"
	OpResume    Op = "resume"
	OpStop      Op = "stop"
	OpAck       Op = "ack"
	OpPing      Op = "ping"
)

// Request is a frame from the orchestrator to the supervisor.
type Request struct {
	Op         Op                `json:"op"`
	ID         string            `json:"id,omitempty"`         // the context's in a claim, else the execution's
	Token      string            `json:"token,omitempty"`      // claim: who claims
	Generation int               `json:"generation,omitempty"` // claim
	Meta       map[string]string `json:"meta,omitempty"`       // claim: told to whoever attaches later
	Cwd        string            `json:"cwd,omitempty"`        // claim
	Env        map[string]string `json:"env,omitempty"`        // claim: for good; execute: for this execution
	Code       string            `json:"code,omitempty"`       // execute
	TimeoutMS  int64             `json:"timeout_ms,omitempty"` // execute: the deadline, counted from started; 0 means none
	Limits     *Limits           `json:"limits,omitempty"`     // execute
	After      uint64            `json:"after,omitempty"`      // resume, repeated execute: the last sequence number seen
	Reader     uint64            `json:"reader,omitempty"`     // resume, execute: told again by the resumed
	Seq        uint64            `json:"seq,omitempty"`        // ack: the last sequence number taken
}

// Limits bound one execution beyond its deadline. A zero field bounds nothing.
type Limits struct {
	OutputBytes int64 `json:"output_bytes,omitempty"` // of output and results; more ends it as output_limit
	DiskBytes   int64 `json:"disk_bytes,omitempty"`   // that the workspace may grow to while it runs; more ends it as disk_full
}

// EventType names what an Event tells.
type EventType string

// The types of an Event; see the package comment.
const (
	TypeHello   EventType = "hello"
	TypeClaimed EventType = "claimed"
	TypeRefused EventType = "refused"
	TypeStopped EventType = "stopped"
	TypePong    EventType = "pong"
	TypeExited  EventType = "exited"
	TypeResumed EventType = "resumed"
	TypeEnded   EventType = "ended"

	TypeStarted EventType = "started"
	TypeStdout  EventType = "stdout"
	TypeStderr  EventType = "stderr"
	TypeResult  EventType = "result"
	TypeError   EventType = "error"
	TypeGap     EventType = "gap"
	TypeDone    EventType = "done"
)

// Ending says how an execution ended.
type Ending string

// The endings. The supervisor reports those that it can know; restarted, removed and lost are the orchestrator's.
const (
	EndingOK          Ending = "ok"
	EndingError       Ending = "error"
	EndingTimeout     Ending = "timeout"
	EndingInterrupted Ending = "interrupted"
	EndingOOM         Ending = "oom"
	EndingCrashed     Ending = "crashed"
	EndingOutputLimit Ending = "output_limit"
	EndingDiskFull    Ending = "disk_full"
	EndingRestarted   Ending = "restarted"
	EndingRemoved     Ending = "removed"
	EndingLost        Ending = "lost"
)

// State says what became of the kernel's variables when an execution ended.
type State string

// The states after an execution.
const (
	StatePreserved State = "preserved"
	StateLost      State = "lost"
	StateUnknown   State = "unknown"
)

// Refusal is the reason in a refused event's Name.
type Refusal string

// The refusals.
const (
	RefusedClaim     Refusal = "claimed_by_another" // Meta and Generation are the owner's
	RefusedCwd       Refusal = "bad_cwd"
	RefusedQueueFull Refusal = "queue_full"
	RefusedUnclaimed Refusal = "unclaimed"
	RefusedUnknown   Refusal = "unknown_execution"
	RefusedDead      Refusal = "kernel_dead"
	RefusedRequest   Refusal = "bad_request"
)

// Usage is what an execution used of its container.
type Usage struct {
	CPUMillis  int64 `json:"cpu_ms"`               // CPU time of the whole container
	WallMillis int64 `json:"wall_ms"`              // from started to done
	PeakBytes  int64 `json:"peak_bytes,omitempty"` // highest sample of the container's memory
	OOMKills   int64 `json:"oom_kills,omitempty"`  // processes that the memory limit killed, the kernel or its children
}

// ExecutionState is where an execution stands, as a hello tells it.
type ExecutionState string

// The states of an execution in a hello.
const (
	ExecutionQueued  ExecutionState = "queued"
	ExecutionRunning ExecutionState = "running"
	ExecutionDone    ExecutionState = "done"
)

// ExecutionStatus is one execution that a supervisor remembers.
type ExecutionStatus struct {
	ID     string         `json:"id"`
	Seq    uint64         `json:"seq"` // of its newest event
	State  ExecutionState `json:"state"`
	Output int64          `json:"output,omitempty"` // bytes of output and results so far, as a gap counts them
	Done   *Event         `json:"done,omitempty"`   // its done, once it has ended
}

// Event is a frame from the supervisor to the orchestrator.
type Event struct {
	ID   string    `json:"id,omitempty"`
	Seq  uint64    `json:"seq,omitempty"`
	Type EventType `json:"type"`
	Time time.Time `json:"ts,omitzero"`

	Count     int                        `json:"count,omitempty"`     // started: the kernel's execution counter
	Text      string                     `json:"text,omitempty"`      // stdout, stderr
	Data      map[string]json.RawMessage `json:"data,omitempty"`      // result: MIME type to value (a string, base64 for images, or JSON)
	Main      bool                       `json:"main,omitempty"`      // result: the value of the last expression
	Name      string                     `json:"name,omitempty"`      // error; refused: a Refusal
	Value     string                     `json:"value,omitempty"`     // error, refused, exited, done: words for a person
	Traceback string                     `json:"traceback,omitempty"` // error
	Bytes     int64                      `json:"bytes,omitempty"`     // gap: how much output is missing here
	AtMost    bool                       `json:"at_most,omitempty"`   // gap: bytes is an upper bound
	Ending    Ending                     `json:"ending,omitempty"`    // done, exited
	State     State                      `json:"state,omitempty"`     // done
	Usage     *Usage                     `json:"usage,omitempty"`     // done

	Protocol   int               `json:"protocol,omitempty"`   // hello
	Boot       string            `json:"boot,omitempty"`       // hello: names one life of a supervisor
	Language   string            `json:"language,omitempty"`   // hello
	Version    string            `json:"version,omitempty"`    // hello: the interpreter's
	Claimed    bool              `json:"claimed,omitempty"`    // hello
	Generation int               `json:"generation,omitempty"` // hello, refused: of the claim
	Meta       map[string]string `json:"meta,omitempty"`       // hello, refused: of the claim
	Exited     string            `json:"exited,omitempty"`     // hello: how the kernel died, if it did
	Executions []ExecutionStatus `json:"executions,omitempty"` // hello, exited, stopped, ended
	Reader     uint64            `json:"reader,omitempty"`     // resumed: of the request; its seq is that of the newest event
}

// ErrFrameTooLarge says that a frame is longer than MaxFrame.
var ErrFrameTooLarge = errors.New("frame exceeds 8 MiB")

// EncodeFrame returns v as one line of JSON, its newline included. Code and output are full of <, > and &, which stay as
// they are: escaped, each would have six bytes.
func EncodeFrame(v any) ([]byte, error) {
	var frame bytes.Buffer
	encoder := json.NewEncoder(&frame)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return frame.Bytes(), nil
}

// WriteFrame writes v as one line of JSON in a single Write. A frame longer than MaxFrame is not written:
// the error is ErrFrameTooLarge and the stream is still usable. Callers serialise their writes.
func WriteFrame(w io.Writer, v any) error {
	line, err := EncodeFrame(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(line) > MaxFrame {
		return fmt.Errorf("%w: %d bytes", ErrFrameTooLarge, len(line))
	}
	_, err = w.Write(line)
	return err
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct{ lines *bufio.Reader }

// NewReader returns a Reader of the frames in r.
func NewReader(r io.Reader) *Reader { return &Reader{lines: bufio.NewReaderSize(r, 64<<10)} }

// Read decodes the next frame into v. At the end of the stream it returns io.EOF, and io.ErrUnexpectedEOF where
// the stream was cut inside a frame. A line that is too long or no JSON is an error after which the stream's
// position is undefined: the caller gives the stream up.
func (r *Reader) Read(v any) error {
	line, err := r.line()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}

// line returns the next line, without copying it where it fits the buffer.
func (r *Reader) line() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	var long []byte
	for errors.Is(err, bufio.ErrBufferFull) {
		long = append(long, line...)
		if len(long) > MaxFrame {
			return nil, ErrFrameTooLarge
		}
		line, err = r.lines.ReadSlice('\n')
	}
	if len(long)+len(line) > MaxFrame {
		return nil, ErrFrameTooLarge
	}
	if err == nil {
		return append(long, line...), nil
	}
	if errors.Is(err, io.EOF) && len(long)+len(line) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return nil, err
}
