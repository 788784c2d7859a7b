package supervisor

import "time"

// Pressure is one reading of what fills the memory of the container. A zero limit says that nothing is known.
type Pressure struct {
	LimitBytes   int64
	UsedBytes    int64
	FileBytes    int64 // of it pages of files on a disk, which can be dropped and read again
	MappedBytes  int64 // of these, pages that processes have mapped, programs above all
	MajorFaults  int64 // how often a process has waited for such a page to be read, so far
	Refaults     int64 // pages of files that were read again because they had been dropped too early, so far
	UserMillis   int64 // CPU time of programs, so far
	SystemMillis int64 // CPU time of the host's kernel on their behalf, so far
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
// in the host's cache before: 12 MB of files left, under 1 MiB of them mapped, 150 major faults and 100,000 refaults a
// second, for up to 70 s; of the CPU time that it took 20 ms a second, 4 %, were its own.) Code that reads large files at
// its limit has them mapped, or no major faults; a shell that starts one program after the other, which all have to be
// read again, has a fifth of its CPU time for them.
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
	thrashes := before.LimitBytes > 0 && p.isFull() && p.isRereadSince(before, passed) && p.isIdleSince(before, passed)
	switch {
	case !thrashes:
		w.since = time.Time{}
	case w.since.IsZero():
		w.since = now
	}
	return thrashes && now.Sub(w.since) >= thrashPatience
}

// isFull reports whether next to nothing can be dropped, and of programs nothing is left.
func (p Pressure) isFull() bool {
	return p.UsedBytes > p.LimitBytes/100*98 && p.FileBytes < p.LimitBytes/100*5 && p.MappedBytes < 8<<20
}

// isRereadSince reports whether what was dropped is read again and again, and waited for.
func (p Pressure) isRereadSince(before Pressure, passed time.Duration) bool {
	return perSecond(p.MajorFaults-before.MajorFaults, passed) >= 10 && perSecond(p.Refaults-before.Refaults, passed) >= 1000
}

// isIdleSince reports whether programs hardly get to run.
func (p Pressure) isIdleSince(before Pressure, passed time.Duration) bool {
	user, system := p.UserMillis-before.UserMillis, p.SystemMillis-before.SystemMillis
	return perSecond(user, passed) <= 30 && user*10 <= user+system
}

func perSecond(n int64, passed time.Duration) float64 { return float64(n) / passed.Seconds() }
