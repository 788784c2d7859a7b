package wire

import (
	"encoding/json"
	"fmt"
)

// Line is one line of the answer to an execute: a NumberOfExecutions, Output, Result, ExecutionError, Gap, Keepalive,
// EndOfExecution or Other.
type Line interface{ line() }

// LineType is the "type" of a line.
type LineType string

// The types of lines. Clients ignore those that they do not know.
const (
	TypeNumberOfExecutions LineType = "number_of_executions"
	TypeStdout             LineType = "stdout"
	TypeStderr             LineType = "stderr"
	TypeResult             LineType = "result"
	TypeError              LineType = "error"
	TypeGap                LineType = "gap" // ours
	TypeKeepalive          LineType = "keepalive"
	TypeEndOfExecution     LineType = "end_of_execution"
)

// NumberOfExecutions says that the code has started. The count is the kernel's own.
type NumberOfExecutions struct {
	Type           LineType `json:"type"`
	ExecutionCount int      `json:"execution_count"`
}

// Output is text that the code wrote to its standard output or standard error.
type Output struct {
	Type      LineType `json:"type"`
	Text      string   `json:"text"`
	Timestamp string   `json:"timestamp"` // ISO 8601, UTC, microseconds
}

// Result is a displayed value, in one or more representations.
type Result struct {
	Type       LineType        `json:"type"`
	Text       *string         `json:"text,omitempty"`
	HTML       *string         `json:"html,omitempty"`
	Markdown   *string         `json:"markdown,omitempty"`
	SVG        *string         `json:"svg,omitempty"`
	PNG        *string         `json:"png,omitempty"`  // base64
	JPEG       *string         `json:"jpeg,omitempty"` // base64
	PDF        *string         `json:"pdf,omitempty"`  // base64
	LaTeX      *string         `json:"latex,omitempty"`
	JSON       json.RawMessage `json:"json,omitempty"`
	JavaScript *string         `json:"javascript,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Chart      json.RawMessage `json:"chart,omitempty"`

	Extra        map[string]json.RawMessage `json:"extra"` // other MIME types; never nil on the wire
	IsMainResult bool                       `json:"is_main_result"`
}

// ExecutionError is an exception of the code, or an ending that was not its own.
type ExecutionError struct {
	Type      LineType `json:"type"`
	Name      string   `json:"name"`
	Value     string   `json:"value"`
	Traceback string   `json:"traceback"`
}

// Gap says that output is missing here. It is ours.
type Gap struct {
	Type   LineType `json:"type"`
	Bytes  int64    `json:"bytes"`
	AtMost bool     `json:"at_most,omitempty"` // bytes is an upper bound
}

// ReaderReplaced is the name of the error that ends the lines, without an EndOfExecution, of a client whose execution
// another reader follows now. It is ours.
const ReaderReplaced = "ReaderReplaced"

// Keepalive says that nothing happens, and that the server is there.
type Keepalive struct {
	Type LineType `json:"type"`
}

// EndOfExecution is the last line. A stream that ends without it was cut, or another reader has taken over. All but
// its type is ours.
type EndOfExecution struct {
	Type LineType `json:"type"`
	Outcome
	Generation int `json:"generation"` // of the context, when the execution was accepted
}

// Other is a line or event of a type that this program does not know.
type Other struct {
	Type LineType `json:"type"`
	Seq  uint64   `json:"seq,omitempty"` // of an event
}

func (NumberOfExecutions) line() {}
func (Output) line()             {}
func (Result) line()             {}
func (ExecutionError) line()     {}
func (Gap) line()                {}
func (Keepalive) line()          {}
func (EndOfExecution) line()     {}
func (Other) line()              {}

// ParseLine reads one line.
func ParseLine(data []byte) (Line, error) {
	var other Other
	if err := json.Unmarshal(data, &other); err != nil {
		return nil, fmt.Errorf("read line: %w", err)
	}
	switch other.Type {
	case TypeNumberOfExecutions:
		return parse[NumberOfExecutions](data)
	case TypeStdout, TypeStderr:
		return parse[Output](data)
	case TypeResult:
		return parse[Result](data)
	case TypeError:
		return parse[ExecutionError](data)
	case TypeGap:
		return parse[Gap](data)
	case TypeKeepalive:
		return parse[Keepalive](data)
	case TypeEndOfExecution:
		return parse[EndOfExecution](data)
	default:
		return other, nil
	}
}

func parse[L Line](data []byte) (Line, error) {
	var line L
	if err := json.Unmarshal(data, &line); err != nil {
		return nil, fmt.Errorf("read line: %w", err)
	}
	return line, nil
}
