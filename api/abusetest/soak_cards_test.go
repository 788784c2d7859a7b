//go:build integration

package abusetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// card is something to do in a context.
type card struct {
	name   string
	weight int  // how many of it are in a deck
	fault  bool // it does something to the context
	deadly bool // which then loses its state
	play   func(*resident, context.Context) error
}

// mild is what a context survives.
var mild = []card{
	{name: "tiny executions", weight: 4, play: (*resident).manyTiny},
	{name: "an exception", weight: 1, play: (*resident).exception},
	{name: "a queue", weight: 2, play: (*resident).queue},
	{name: "large output", weight: 2, play: (*resident).largeOutput},
	{name: "slow reader", weight: 1, fault: true, play: (*resident).slowReader},
	{name: "spinning interrupted", weight: 2, fault: true, play: interrupted("while time.monotonic() < end: pass")},
	{name: "sleep interrupted", weight: 1, fault: true, play: interrupted("time.sleep(60)")},
	{name: "spinning timed out", weight: 1, fault: true, play: timedOut("while time.monotonic() < end: pass")},
	{name: "sleep timed out", weight: 1, fault: true, play: timedOut("time.sleep(60)")},
	{name: "client left", weight: 2, fault: true, play: (*resident).leave},
	{name: "client left, execution stayed", weight: 1, fault: true, play: (*resident).stay},
	{name: "followed and resumed", weight: 2, fault: true, play: (*resident).follow},
}

// deadly is what a context's state does not survive.
var deadly = []card{
	{name: "kernel exited", weight: 2, fault: true, deadly: true, play: ends("import os; os._exit(0)", "crashed")},
	{name: "out of memory", weight: 1, fault: true, deadly: true, play: ends("hog = [bytearray(10**7) for _ in range(100)]", "oom")},
	{name: "restarted", weight: 1, fault: true, deadly: true, play: (*resident).restartIdle},
	{name: "restarted while busy", weight: 1, fault: true, deadly: true, play: busy("restarted", (*resident).restart)},
	{name: "replaced", weight: 2, fault: true, deadly: true, play: (*resident).replace},
	{name: "docker rm -f", weight: 1, fault: true, deadly: true, play: (*resident).removedIdle},
	{name: "docker rm -f while busy", weight: 1, fault: true, deadly: true, play: busy("lost", (*resident).removeContainer)},
	{name: "docker kill while busy", weight: 1, fault: true, deadly: true, play: busy("lost", (*resident).killContainer)},
}

// deck deals cards in random order, all of them before any comes again.
type deck struct {
	mu     sync.Mutex
	cards  []card
	random *rand.Rand
	dealt  int
}

func newDeck(random *rand.Rand, kinds ...[]card) *deck {
	d := &deck{random: random}
	for _, c := range slices.Concat(kinds...) {
		d.cards = append(d.cards, slices.Repeat([]card{c}, c.weight)...)
	}
	return d
}

func (d *deck) deal() card {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.dealt % len(d.cards)
	if at == 0 {
		d.random.Shuffle(len(d.cards), func(i, j int) { d.cards[i], d.cards[j] = d.cards[j], d.cards[i] })
	}
	d.dealt++
	return d.cards[at]
}

func (d *deck) dealtAtLeast(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dealt >= n
}

// wants is an error unless an execution ended so.
func wants(o outcome, ending string) error {
	if o.ending != ending {
		return fmt.Errorf("it has to end as %s: %.600s", ending, fmt.Sprintf("%+v", o))
	}
	return nil
}
