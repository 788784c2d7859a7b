package supervisor

import "time"

// Pressure is one reading of what fills the memory of the container. A zero limit says that nothing is known.
type Pressure struct {
	LimitBytes     int64
	AnonymousBytes int64 // what processes have written, and what cannot be dropped without swap
	MappedBytes    int64 // pages of files, programs above all, that processes have in use
	MajorFaults    int64 // how often a process has waited for such a page to be read, so far
	Refaults       int64 // pages of files that were read again because they had been dropped too early, so far
}

const (
	// thrashEvery is how often the pressure is read while an execution runs.
	thrashEvery = time.Second
	// thrashPatience is how long memory thrashes before that counts as out of memory.
	thrashPatience = 5 * time.Second
)

// thrashWatch finds out that memory is full, though Linux kills nobody for it: what processes have written fills it, and
// each page of a program that is read from the disk drops another one that is needed next. Since that succeeds every
// time, Linux sees progress, while the processes have none for minutes. (Measured with Node.js at 1 GiB, its program not
// in the host's cache before: 98 % anonymous, under 1 MiB mapped, 150 major faults and 100,000 refaults a second, for up
// to 70 s.) Code that reads large files at its limit has them mapped, or no major faults.
type thrashWatch struct {
	read   func() Pressure
	before Pressure
	looked time.Time
	since  time.Time // zero: it does not thrash
}

// look is called now and then while an execution runs. It reports whether memory has thrashed for thrashPatience.
func (w *thrashWatch) look() bool {
	now := time.Now()
	passed := now.Sub(w.looked)
	if passed < thrashEvery {
		return false
	}
	p, before := w.read(), w.before
	w.before, w.looked = p, now
	seconds := int64(passed / time.Second)
	thrashes := before.LimitBytes > 0 && p.AnonymousBytes > p.LimitBytes/100*95 && p.MappedBytes < 8<<20 &&
		p.MajorFaults-before.MajorFaults >= 10*seconds && p.Refaults-before.Refaults >= 1000*seconds
	switch {
	case !thrashes:
		w.since = time.Time{}
	case w.since.IsZero():
		w.since = now
	}
	return thrashes && now.Sub(w.since) >= thrashPatience
}
