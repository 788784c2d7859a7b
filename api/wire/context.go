package wire

import (
	"encoding/json"
	"time"
)

// Context is a code context as create and list answer it.
type Context struct {
	ID        string `json:"id"`
	ContextID string `json:"contextId"` // the same id, under the name that some clients read
	Language  string `json:"language"`
	Cwd       string `json:"cwd"`
}

// ListedContext is a code context as list answers it. Its state is ours.
type ListedContext struct {
	Context
	State string `json:"state"`
}

// ContextDetail is all that is told of one context. It is ours.
type ContextDetail struct {
	Context
	Generation int       `json:"generation"` // rises by one each time the state is lost while the id lives on
	State      string    `json:"state"`
	Reason     string    `json:"reason,omitempty"` // why it is failed or lost
	Image      Image     `json:"image"`
	Sandbox    string    `json:"sandbox"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	Limits     Limits    `json:"limits"`
	Network    string    `json:"network"`
}

// Image is the image that a context runs from.
type Image struct {
	ID  string `json:"id"` // its digest
	Tag string `json:"tag"`
}

// Limits bound one context.
type Limits struct {
	MemoryBytes int64   `json:"memory_bytes"` // memory and swap together
	CPUs        float64 `json:"cpus"`
	PIDs        int64   `json:"pids"` // processes and threads
	FileBytes   int64   `json:"file_bytes"`
}

// CreateContext asks for a context. Empty fields mean the server's defaults.
type CreateContext struct {
	Language string            `json:"language,omitempty"`
	Cwd      string            `json:"cwd,omitempty"`
	EnvVars  map[string]string `json:"env_vars,omitempty"` // for the life of the context; ours
}

// Execute asks for an execution. At most one of ContextID and Language is set; with neither, the code runs in the
// default Python context.
type Execute struct {
	Code      string            `json:"code"`
	ContextID string            `json:"context_id,omitempty"`
	Language  string            `json:"language,omitempty"`
	EnvVars   map[string]string `json:"env_vars,omitempty"` // for this execution only

	// Ours.
	TimeoutMS      int64  `json:"timeout_ms,omitempty"`       // the deadline, counted from the start of the code; 0: none
	MaxOutputBytes int64  `json:"max_output_bytes,omitempty"` // of output and results; more ends it; 0: no bound
	OnDisconnect   string `json:"on_disconnect,omitempty"`    // OnDisconnectInterrupt if empty
}

// What becomes of an execution whose client leaves.
const (
	OnDisconnectInterrupt = "interrupt"
	OnDisconnectContinue  = "continue"
)

// Error is the body of an error, except on E2B's own routes, which answer in plain text.
type Error struct {
	Code      int    `json:"code"` // the HTTP status
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

// ValidationError is the body of a 422.
type ValidationError struct {
	Detail []Detail `json:"detail"`
}

// Detail is one thing that is wrong with a request's body.
type Detail struct {
	Type  string          `json:"type"`          // missing, string_type, json_invalid, …
	Loc   []any           `json:"loc"`           // "body", then names of members, or the offset where no JSON could be read
	Msg   string          `json:"msg"`           // for a person
	Input json.RawMessage `json:"input"`         // what was sent; null if it is long
	Ctx   map[string]any  `json:"ctx,omitempty"` // more about it
}
