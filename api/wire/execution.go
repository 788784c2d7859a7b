package wire

// StartExecution asks for an execution that outlives whoever asked for it. It is ours.
type StartExecution struct {
	Code           string            `json:"code"`
	EnvVars        map[string]string `json:"env_vars,omitempty"` // for this execution only
	TimeoutMS      int64             `json:"timeout_ms,omitempty"`
	MaxOutputBytes int64             `json:"max_output_bytes,omitempty"`
}

// Execution is where an execution stands. It is ours.
type Execution struct {
	ID         string         `json:"id"`
	ContextID  string         `json:"context_id"`
	Generation int            `json:"generation"` // of the context, when the execution was accepted
	State      ExecutionState `json:"state"`
	Seq        uint64         `json:"seq"`            // of its newest event; 0 before the first
	Done       *Outcome       `json:"done,omitempty"` // how it ended, once it has
}

// ExecutionState is where an execution stands.
type ExecutionState string

// The states of an execution.
const (
	ExecutionQueued  ExecutionState = "queued"
	ExecutionRunning ExecutionState = "running"
	ExecutionDone    ExecutionState = "done"
)

// Outcome is how an execution ended.
type Outcome struct {
	Ending string `json:"ending"`
	State  string `json:"state"`           // what became of the context's variables: preserved, lost or unknown
	Value  string `json:"value,omitempty"` // what happened and what to do, where it is neither ok nor the code's own error
	Usage  *Usage `json:"usage,omitempty"` // missing where nobody was left to measure
}

// Usage is what an execution used.
type Usage struct {
	CPUMillis  int64 `json:"cpu_ms"`               // CPU time of the whole container
	WallMillis int64 `json:"wall_ms"`              // from started to done
	PeakBytes  int64 `json:"peak_bytes,omitempty"` // highest sample of the container's memory
	OOMKills   int64 `json:"oom_kills,omitempty"`  // processes that the memory limit killed, the kernel or its children
}
