package orchestrator

import (
	"context"
	"io"
	"time"
)

// Engine starts, reaches and removes containers. The orchestrator's only road to Docker.
//
// All methods may be called concurrently and return by the end of ctx, but for Start: once the engine has been told to
// create a container its answer is waited for, so that the container can be removed again. Errors carry a kind of this package where one
// fits: ErrNotFound for a container that is not there, ErrImageMissing, ErrEngine, ErrExhausted.
//
// The order is Start → Attach (any number of times, one after the other) → Remove. Only containers that carry the
// engine's own instance label are ever listed, watched or removed.
type Engine interface {
	// Start creates and starts a container and returns its id. When it fails, a container that was created is removed
	// before Start returns, unless the engine does not answer any more: only a Remove by name makes sure.
	Start(ctx context.Context, spec ContainerSpec) (id string, err error)
	// Attach runs a bridge in the container and returns its stream of frames. Closing the stream ends the bridge.
	// The stream's reads end with io.EOF when the bridge or the container has gone.
	Attach(ctx context.Context, id string) (io.ReadWriteCloser, error)
	// Remove kills and removes a container, named by its id or its name, with its anonymous volumes. One that is not
	// there is no error.
	Remove(ctx context.Context, container string) error
	// List returns all containers of this instance, running or not.
	List(ctx context.Context) ([]Container, error)
	// Watch calls fn, one call at a time, for each container of this instance that ends, until ctx ends or the stream
	// of events breaks. Events are a hint: they can be lost, so callers also look for themselves.
	Watch(ctx context.Context, fn func(ContainerEvent)) error
}

// Workspaces keeps the volumes that are mounted at /home/user. Concurrency and errors as for Engine.
type Workspaces interface {
	// CreateWorkspace makes a volume of this instance. One that is there already is no error.
	CreateWorkspace(ctx context.Context, name string) error
	// RemoveWorkspace removes a volume. One that is not there is no error.
	RemoveWorkspace(ctx context.Context, name string) error
	// ListWorkspaces returns the names of this instance's volumes.
	ListWorkspaces(ctx context.Context) ([]string, error)
}

// Images finds the image of a language.
type Images interface {
	// Image returns the image that contexts of the language (its normalised name) start from. The error is
	// ErrImageMissing when the engine does not have it.
	Image(ctx context.Context, language string) (Image, error)
}

// Image is an image on the engine.
type Image struct {
	ID  string // its digest, which cannot be moved to another image
	Tag string // how a person knows it
}

// ContainerSpec says what container to start. What it leaves out is the engine adapter's security profile.
type ContainerSpec struct {
	Name      string // the container's name, unique on the engine
	Image     string // an image's digest
	UID       int    // the user's uid and gid
	Workspace string // the volume at /home/user; empty: an anonymous one that goes with the container
	Limits    Limits
	Network   Network
	Lease     time.Duration // the supervisor exits after this long without a bridge, and the engine then removes the container; 0: never
}

// Limits bound one container. The zero value of a field means its default (DefaultLimits).
type Limits struct {
	MemoryBytes int64   // memory and swap together
	CPUs        float64 // CPU time per time
	PIDs        int64   // processes and threads
	FileBytes   int64   // the largest file that can be written
}

// DefaultLimits returns what a context gets unless the operator says otherwise.
func DefaultLimits() Limits {
	return Limits{MemoryBytes: 1 << 30, CPUs: 1, PIDs: 256, FileBytes: 8 << 30}
}

// Network says what a container can reach.
type Network string

// The networks of a container.
const (
	NetworkNone     Network = "none"     // nothing
	NetworkInternet Network = "internet" // the engine's default bridge
)

// Container is a container of this instance as the engine sees it.
type Container struct {
	ID        string
	Name      string
	Image     string // digest
	UID       int
	Workspace string
	State     ContainerState
	Finished  bool   // it has ended at least once: whatever it held is gone, even if somebody started it again
	Reason    string // for one that does not run: how it ended, for a person
	CreatedAt time.Time
}

// ContainerState is what the engine says of a container.
type ContainerState string

// The states of a container.
const (
	ContainerCreated ContainerState = "created"
	ContainerRunning ContainerState = "running"
	ContainerPaused  ContainerState = "paused"
	ContainerExited  ContainerState = "exited"
)

// ContainerEvent is the end of a container.
type ContainerEvent struct {
	ID     string
	Reason string // for a person: "killed", "removed", "out of memory"
}
