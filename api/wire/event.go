package wire

import (
	"encoding/json"
	"fmt"
)

// Event is one line of an execution's events: an EventStarted, EventOutput, EventResult, EventError, EventGap,
// EventDone, Keepalive, Replaced or Other. They are ours.
type Event interface {
	// Sequence is the number to resume after; 0 where the event has none.
	Sequence() uint64
}

// The types of events that lines have not. Clients ignore those that they do not know.
const (
	TypeStarted  LineType = "started"
	TypeDone     LineType = "done"
	TypeReplaced LineType = "replaced"
)

// Position is what an execution's own events have in common. Sequence numbers rise; they may skip.
type Position struct {
	Type LineType `json:"type"`
	Seq  uint64   `json:"seq"`
}

// Sequence implements Event.
func (p Position) Sequence() uint64 { return p.Seq }

// EventStarted says that the code has started. The count is the kernel's own.
type EventStarted struct {
	Position
	Count int `json:"count"`
}

// EventOutput is text that the code wrote to its standard output or standard error.
type EventOutput struct {
	Position
	Text      string `json:"text"`
	Timestamp string `json:"timestamp"` // ISO 8601, UTC, microseconds
}

// EventResult is a displayed value, in one or more representations.
type EventResult struct {
	Position
	Data map[string]json.RawMessage `json:"data"` // by MIME type: a string, base64 for images, or other JSON
	Main bool                       `json:"main"` // it is the value of the last expression
}

// EventError is an exception of the code, also one by which an interrupt or a deadline took.
type EventError struct {
	Position
	Name      string `json:"name"`
	Value     string `json:"value"`
	Traceback string `json:"traceback"`
}

// EventGap says that output is missing here.
type EventGap struct {
	Position
	Bytes  int64 `json:"bytes"`
	AtMost bool  `json:"at_most,omitempty"` // bytes is an upper bound
}

// EventDone is an execution's end. A stream without it was cut, and can be resumed.
type EventDone struct {
	Position
	Outcome
	Generation int `json:"generation"` // of the context, when the execution was accepted
}

// Replaced is the last line for a reader whose place a newer one has taken.
type Replaced struct {
	Type LineType `json:"type"`
}

// Sequence implements Event.
func (Keepalive) Sequence() uint64 { return 0 }

// Sequence implements Event.
func (Replaced) Sequence() uint64 { return 0 }

// Sequence implements Event.
func (o Other) Sequence() uint64 { return o.Seq }

// ParseEvent reads one line.
func ParseEvent(data []byte) (Event, error) {
	var other Other
	if err := json.Unmarshal(data, &other); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	switch other.Type {
	case TypeStarted:
		return parseEvent[EventStarted](data)
	case TypeStdout, TypeStderr:
		return parseEvent[EventOutput](data)
	case TypeResult:
		return parseEvent[EventResult](data)
	case TypeError:
		return parseEvent[EventError](data)
	case TypeGap:
		return parseEvent[EventGap](data)
	case TypeDone:
		return parseEvent[EventDone](data)
	case TypeKeepalive:
		return parseEvent[Keepalive](data)
	case TypeReplaced:
		return parseEvent[Replaced](data)
	default:
		return other, nil
	}
}

func parseEvent[E Event](data []byte) (Event, error) {
	var ev E
	if err := json.Unmarshal(data, &ev); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	return ev, nil
}
