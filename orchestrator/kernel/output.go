package kernel

// Encode returns an event as a frame, its newline included, as a supervisor sends it. Nothing in an event can fail to
// encode but a result's data, which the supervisor's adapter has parsed from JSON.
func (ev Event) Encode() []byte {
	frame, err := EncodeFrame(ev)
	if err != nil {
		frame, _ = EncodeFrame(Event{ID: ev.ID, Seq: ev.Seq, Type: ev.Type, Value: err.Error()})
	}
	return frame
}

// OutputBytes is how much output and results an event carries, as gaps and statuses count them. A gap carries what it
// stands for; an error counts only if its frame is longer than MaxKeptError.
func (ev Event) OutputBytes() int64 {
	switch ev.Type {
	case TypeStdout, TypeStderr:
		return int64(len(ev.Text))
	case TypeResult:
		n := 0
		for _, value := range ev.Data {
			n += len(value)
		}
		return int64(n)
	case TypeError:
		words := len(ev.Value) + len(ev.Traceback)
		if words <= MaxKeptError && len(ev.Encode()) <= MaxKeptError {
			return 0
		}
		return int64(words)
	case TypeGap:
		return ev.Bytes
	default:
		return 0
	}
}
