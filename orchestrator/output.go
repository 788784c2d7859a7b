package orchestrator

import (
	"bytes"
	"encoding/json"

	"cubby/orchestrator/kernel"
)

// keptError is the length of the longest frame of an error that a supervisor keeps apart from output, uncounted.
const keptError = 64 << 10

// outputBytes is how much output and results an event carries, as a supervisor's gaps and statuses count them.
func outputBytes(ev Event) int64 {
	switch ev.Type {
	case kernel.TypeStdout, kernel.TypeStderr:
		return int64(len(ev.Text))
	case kernel.TypeGap:
		return ev.Bytes
	case kernel.TypeResult:
		n := 0
		for _, value := range ev.Data {
			n += len(value)
		}
		return int64(n)
	case kernel.TypeError:
		var frame bytes.Buffer
		encoder := json.NewEncoder(&frame)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(ev); err != nil || frame.Len() <= keptError {
			return 0
		}
		return int64(len(ev.Value) + len(ev.Traceback))
	default:
		return 0
	}
}
