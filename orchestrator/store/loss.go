package store

import "time"

// Loss says which of a context's generations have lost their state, and whether anybody knows. Its two marks only rise,
// so that whoever writes an older copy can be merged with and undoes nothing. With one loss after the other it goes
//
//	             Happened(1)             Tell(1)             Happened(2), Happened(3)
//	Lost=0 Told=0  ──────►  Lost=1 Told=0  ──►  Lost=1 Told=1  ──────►  Lost=3 Told=1  ──► …
//	    nothing                 untold              told                   untold
//
// A generation whose end somebody is told of before it is noted (Tell, then Happened) never becomes untold.
type Loss struct {
	Lost int       // the newest generation whose state is lost; 0: none
	Told int       // the newest generation of whose loss somebody has been told
	At   time.Time // when Lost was noted
	Why  string    // of the oldest loss that nobody has been told of, or of the last one
}

// Untold reports whether state was lost that nobody has been told of. The next execution tells.
func (l Loss) Untold() bool { return l.Lost > l.Told }

// Happened notes that a generation's state is lost. Noting it again changes nothing.
func (l Loss) Happened(generation int, why string, at time.Time) Loss {
	if generation <= l.Lost {
		return l
	}
	if !l.Untold() {
		l.Why = why
	}
	l.Lost, l.At = generation, at
	return l
}

// Tell notes that somebody knows of the loss of a generation's state, and so of all before it.
func (l Loss) Tell(generation int) Loss {
	l.Told = max(l.Told, generation)
	return l
}

// Merge brings two copies together of which each may know something newer.
func (l Loss) Merge(other Loss) Loss {
	told := max(l.Told, other.Told)
	if other.Lost > l.Lost {
		l = other
	}
	l.Told = told
	return l
}
