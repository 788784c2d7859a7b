package orchestrator

import (
	"crypto/rand"
	"math/big"
)

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
	n, err := rand.Int(rand.Reader, big.NewInt(int64(r.Count)))
	if err != nil { // the kernel's random source cannot fail on the systems that Go supports
		panic(err)
	}
	return r.First + int(n.Int64())
}
