package supervisor

import (
	"context"
	"math"
	"sync"
)

// Workspace is the file system that the disk limit of an execution is about.
type Workspace interface {
	// Free returns how many bytes the file system has left. It is cheap.
	Free() (int64, error)
	// Size returns how many bytes are in the workspace. It may take long; an error means that it is not known.
	Size(ctx context.Context) (int64, error)
}

// maxDiskStep is how much less space is left, at most, before the workspace is looked through again.
const maxDiskStep = 64 << 20

// diskWatch finds out that an execution has made the workspace too large. Looking through a workspace is not cheap, so
// that is done only when the space that is left has become less, which deleting never makes it: code that makes room
// always gets to run. Others may write to the same file system, though; hence a workspace that is known to be too large
// when an execution begins has to grow further.
//
// Its methods are called one at a time.
type diskWatch struct {
	workspace Workspace
	walks     sync.WaitGroup
	sizes     chan int64 // what a walk has found, or unknownSize; capacity 1

	walking bool  // a walk's result has not been taken from sizes
	stale   bool  // it was begun for an earlier execution
	size    int64 // that the newest walk has found
	left    int64 // space that was left then

	limit   int64 // of the execution; 0: it is not watched
	free    int64 // the most space that was left since the last walk
	allowed int64 // size of the workspace
}

// unknownSize stands for the result of a walk that failed.
const unknownSize = -1

// newDiskWatch returns a watch over a workspace, which may be nil: then it never finds anything.
func newDiskWatch(workspace Workspace) *diskWatch {
	return &diskWatch{workspace: workspace, sizes: make(chan int64, 1)}
}

// begin starts to watch an execution; the limit 0 watches nothing.
func (w *diskWatch) begin(limit int64) {
	w.limit, w.stale = 0, w.walking
	if limit <= 0 || w.workspace == nil {
		return
	}
	free, err := w.workspace.Free()
	if err != nil {
		return // nothing can be known of it
	}
	w.limit, w.free, w.allowed = limit, free, limit
	if w.size > limit && free-w.left < w.size-limit { // and what was too much has not been removed
		w.allowed = math.MaxInt64 // until it is known how large it is now
	}
}

// look is called now and then while the execution runs. It starts a walk if there is a reason, and none is under way.
func (w *diskWatch) look(ctx context.Context) {
	if w.limit == 0 || w.walking {
		return
	}
	free, err := w.workspace.Free()
	if err != nil {
		return // what cannot be looked at is the next look's
	}
	if w.free = max(w.free, free); w.free-free < min(maxDiskStep, w.limit/16+1) {
		return
	}
	w.free, w.left, w.walking = free, free, true
	w.walks.Go(func() {
		size, err := w.workspace.Size(ctx)
		if err != nil {
			size = unknownSize
		}
		w.sizes <- size
	})
}

// full takes what came from sizes, and reports whether the execution has made the workspace too large.
func (w *diskWatch) full(size int64) bool {
	stale := w.stale
	w.walking, w.stale = false, false
	if size == unknownSize || w.limit == 0 {
		return false
	}
	w.size = size
	if stale {
		w.allowed = max(w.limit, size)
		return false
	}
	full := size > w.allowed
	w.allowed = max(w.limit, min(w.allowed, size))
	return full
}
