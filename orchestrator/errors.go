package orchestrator

import "errors"

// The kinds of error. Whoever knows a fact wraps its kind with words for the user; the API turns kinds into statuses.
// Anything else is an internal error, whose text only the operator sees.
var (
	// ErrNotFound: no such context or execution.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the request cannot be carried out as it is; the words say what to change.
	ErrInvalid = errors.New("invalid request")
	// ErrUnknownLanguage: no image for that language is known.
	ErrUnknownLanguage = errors.New("unknown language")
	// ErrTooLarge: the code is longer than a frame or the limit allows.
	ErrTooLarge = errors.New("too large")
	// ErrConflict: the context is in a state that rules the request out.
	ErrConflict = errors.New("conflict")
	// ErrCapacity: a limit of this server is reached; the same request may succeed later.
	ErrCapacity = errors.New("capacity reached")
	// ErrExhausted: the host has no more of something, such as disk; the same request succeeds once there is again.
	ErrExhausted = errors.New("host resources exhausted")
	// ErrImageMissing: the language's image is not on the engine; the words name the command that builds it.
	ErrImageMissing = errors.New("image missing")
	// ErrNoBoot: the language's image is broken; the words name it and say what its kernel said.
	ErrNoBoot = errors.New("kernel did not boot")
	// ErrReplaced: somebody else has begun to read the execution; the newest reader takes over.
	ErrReplaced = errors.New("another reader has taken over")
	// ErrEngine: the engine cannot be reached or does not answer; the same request may succeed later.
	ErrEngine = errors.New("container engine unavailable")
)
