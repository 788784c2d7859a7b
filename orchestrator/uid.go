package orchestrator

import "math/rand/v2"

// UIDRange is where the uids of sandboxes come from. Each sandbox has one of its own, because the kernel counts
// inotify instances, pipe pages, keys and pending signals a uid across the whole host.
type UIDRange struct {
	First int
	Count int
}

var (
	// WideUIDs is 2^30 and 28 random bits: two sandboxes of one host do not meet.
	WideUIDs = UIDRange{First: 1 << 30, Count: 1 << 28}
	// NarrowUIDs is for engines that map containers' uids into a range of the host's.
	NarrowUIDs = UIDRange{First: 20000, Count: 40000}
)

// pick returns a random uid of the range.
func (r UIDRange) pick() int {
	return r.First + rand.IntN(r.Count) //nolint:gosec // rare is enough: a uid is no secret
}
