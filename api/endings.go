package api

import (
	"cmp"
	"strings"

	"cubby/api/wire"
	"cubby/orchestrator/kernel"
)

// ending is what a client is told of an ending that no exception of the code is.
type ending struct {
	name   string // of the error
	what   string // happened
	remedy string // what to do about it, where that is not plain
	stated bool   // the done's value says what happened, where it has one
	whole  bool   // what says all: nothing is added
}

var endings = map[kernel.Ending]ending{
	kernel.EndingTimeout: {
		name: "TimeoutError", what: "execution ran into its timeout", remedy: "a larger timeout_ms gives it more time",
	},
	kernel.EndingInterrupted: {name: "KeyboardInterrupt", what: "execution was interrupted"},
	kernel.EndingOOM: {
		name: "OutOfMemoryError", what: "out of memory: the kernel was killed", stated: true,
		remedy: "use less at a time, or have the server started with a larger --memory",
	},
	kernel.EndingCrashed: {name: "KernelDied", what: "the kernel died"},
	kernel.EndingOutputLimit: {
		name: "OutputLimit", what: "the execution wrote more than it may", remedy: "print less, write to a file, or ask for a larger max_output_bytes, as far as the server allows it",
	},
	kernel.EndingDiskFull: {name: "DiskFull", what: "the workspace is full", remedy: "remove files below /home/user"},
	kernel.EndingRestarted: {
		name: "ContextRestarted", what: "Context was restarted", whole: true, // E2B's words
	},
	kernel.EndingRemoved: {name: "ContextRemoved", what: "Context was removed", whole: true},
	kernel.EndingLost: {
		name: "ContextLost", what: "the context's container is gone", remedy: "run the code again, from the beginning",
	},
}

// words returns the error by which clients are told of a done: its name, and what happened, what became of the context's
// variables, and what to do. Both are empty where the code ended by itself, be it with an exception.
func words(done kernel.Event) (name, value string) {
	if done.Ending == kernel.EndingOK || done.Ending == kernel.EndingError {
		return "", ""
	}
	e, known := endings[done.Ending]
	if !known {
		e = ending{name: "UnexpectedEndOfExecution", what: "the execution ended: " + string(done.Ending)}
	}
	if done.Ending == kernel.EndingLost && done.State == kernel.StateUnknown { // refused, and the container may be well
		e.what, e.whole = cmp.Or(done.Value, "the execution was lost"), true
	}
	if e.whole {
		return e.name, e.what
	}
	parts := []string{e.what}
	switch {
	case done.Value == "":
	case e.stated:
		parts[0] = done.Value
	default:
		parts[0] += ": " + done.Value
	}
	switch done.State {
	case kernel.StateLost:
		parts = append(parts, "the context's variables are lost, and the next execution has a fresh kernel")
	case kernel.StateUnknown:
		parts = append(parts, "whether the context's variables are kept is not known")
	}
	if e.remedy != "" {
		parts = append(parts, e.remedy)
	}
	return e.name, strings.Join(parts, "; ")
}

// OutcomeOf returns how an execution ended, in the words that all clients get.
func OutcomeOf(done kernel.Event) wire.Outcome {
	_, value := words(done)
	o := wire.Outcome{Ending: string(done.Ending), State: string(done.State), Value: value}
	if u := done.Usage; u != nil {
		o.Usage = &wire.Usage{CPUMillis: u.CPUMillis, WallMillis: u.WallMillis, PeakBytes: u.PeakBytes, OOMKills: u.OOMKills}
	}
	return o
}
