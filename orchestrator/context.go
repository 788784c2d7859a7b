// Package orchestrator keeps code contexts: it creates, restarts, removes and adopts their containers, sends them code,
// and tells how every execution ends. It knows neither Docker nor HTTP. README.md beside it has the decisions.
package orchestrator

import (
	"time"

	"cubby/orchestrator/kernel"
)

// CodeContext describes a code context: a stateful REPL with a language and a working directory, in a container of
// its own. It is a copy: changing it changes nothing.
type CodeContext struct {
	ID         string
	Language   string // normalised
	Cwd        string // as asked for
	Sandbox    string
	CreatedAt  time.Time
	LastUsedAt time.Time
	Generation int // rises by one each time the state is lost while the id lives on
	State      State
	Reason     string // why it is failed or lost, for a person
	Image      Image
	Container  string // the engine's id of its container; empty when there is none
	Limits     Limits
	Network    Network
}

// State is where a context stands.
type State string

// The states of a context.
const (
	StateStarting   State = "starting"
	StateReady      State = "ready"
	StateBusy       State = "busy"       // an execution runs
	StateRestarting State = "restarting" // a new container is on its way
	StateFailed     State = "failed"     // its kernel keeps dying; a restart or a removal ends that
	StateLost       State = "lost"       // its container is gone; the next execution says so and brings a new one
)

// Defaults of a context.
const (
	DefaultSandbox  = "default"
	DefaultLanguage = "python"
	DefaultCwd      = "/home/user"
	// MaxCode is the longest code of one execution, in bytes.
	MaxCode = 4 << 20
	// MaxEnv is the most that the names and values of an environment have together, in bytes: however they are escaped,
	// they fit in a frame.
	MaxEnv = 1 << 20
)

// Language is a language that contexts can have.
type Language struct {
	Name       string
	Aliases    []string
	Extensions []string // of files with code in it: .py
}

// CreateRequest asks for a context. Empty fields mean the defaults.
type CreateRequest struct {
	Language string
	Cwd      string
	Env      map[string]string
}

// ExecuteRequest asks for an execution. At most one of Context and Language is set; with neither, the code runs in the
// default context of DefaultLanguage.
type ExecuteRequest struct {
	Context   string // a context's id
	Language  string // run in this language's default context, which is created when needed
	Code      string
	Env       map[string]string // for this execution only
	Timeout   time.Duration     // 0: none
	MaxOutput int64             // bytes of output and results, after which the execution ends as output_limit; 0: no bound
}

// ExecutionStatus is where an execution stands.
type ExecutionStatus struct {
	ID         string
	Context    string
	Generation int // of the context, when the execution was accepted
	State      ExecutionState
	Seq        uint64 // of its newest event
	Done       *Event // how it ended, once it has
}

// ExecutionState is where an execution stands.
type ExecutionState = kernel.ExecutionState

// Event is what an execution tells; see the kernel package for the order of events.
type Event = kernel.Event
