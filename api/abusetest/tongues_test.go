//go:build integration

package abusetest

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// tongue is what an arena has to say in the language of its attacked context.
type tongue struct {
	language string
	set      string // sets x to 41
	ask      string // x plus one, or that it is unset
	host     string // the name of the host
	sound    string // prints "p"
}

var (
	python     = tongue{language: "python", set: "x = 41", ask: "x + 1", host: "__import__('socket').gethostname()", sound: "print('p')"}
	javascript = tongue{
		language: "javascript", set: "var x = 41", ask: "typeof x === 'undefined' ? 'unset' : x + 1",
		host: "process.getBuiltinModule('node:os').hostname()", sound: "console.log('p')",
	}
	deno = tongue{
		language: "deno", set: "var x = 41", ask: javascript.ask, host: "Deno.hostname()", sound: javascript.sound,
	}
	bash = tongue{language: "bash", set: "x=41", ask: `builtin echo "$(( ${x-0} + 1 ))"`, host: `builtin echo "$HOSTNAME"`, sound: "builtin echo p"}
)

// newForeignArena makes an arena on a server of its own, with an attacked context of another language than Python.
func newForeignArena(t *testing.T, in tongue) *arena {
	t.Helper()
	return newArenaIn(t, startServer(t, "--languages", python.language+","+in.language), in)
}

// answer is what an execution has answered to ask or host.
func (o outcome) answer() string {
	said := strings.Trim(cmp.Or(o.text, strings.TrimSpace(o.stdout)), `'"`)
	if o.errName == "NameError" || said == "1" { // in a shell what is unset is 0
		return "unset"
	}
	return said
}

// foray is an attack in some language.
type foray struct {
	name, code string
	deadline   int64  // in milliseconds; 0: 30 s
	output     int64  // how many bytes it may print; 0: any
	endings    string // those that are right, with | between them
	says       string // in the error's name and value
	stdout     string // empty: any
	then       string // is run afterwards, and has to print "mine" alone; empty: nothing
	atLimit    bool   // it reaches the limit of processes
	oomKills   int64
	leaves     int // so many processes called sleep, which go with the container
}

// sabotage are the endings of code that breaks the interpreter which runs it. It may hang, but not beyond its deadline.
const sabotage = "ok|error|crashed|timeout"

// foray attacks an arena, and holds what holds of every attack: one ending, which is one of those that are right; a
// context that answers afterwards, with its state as it was said; one that prints; no core file.
func (a *arena) foray(t *testing.T, f foray) {
	t.Helper()
	a.again(t)
	stop, stopSampling := a.watch(t), a.box.sample(t)
	deadline := cmp.Or(f.deadline, 30_000)
	if f.endings == sabotage {
		deadline = 3000
	}
	got := a.run(t, a.attacked, f.code, wire.Execute{TimeoutMS: deadline, MaxOutputBytes: f.output})
	require.Contains(t, strings.Split(f.endings, "|"), got.ending, "%+v", got)
	require.Contains(t, got.errName+": "+got.errValue, f.says)
	require.Empty(t, a.box.cores(t))
	if f.stdout != "" {
		require.Equal(t, f.stdout, got.stdout)
	}
	require.True(t, utf8.ValidString(got.stdout+got.stderr))
	seen := stopSampling()
	require.LessOrEqual(t, seen.pids, seen.limit*9/8)
	if f.atLimit {
		seen.requireAtLimit(t)
	}
	if !strings.Contains(got.errValue, thrashed) {
		require.GreaterOrEqual(t, seen.oomKills, f.oomKills)
	}
	if f.leaves > 0 {
		require.Eventually(t, func() bool { return a.box.count(t, "sleep") == f.leaves }, patience, probeEvery)
		require.Equal(t, "preserved", got.state)
	}
	if f.then != "" {
		next := a.run(t, a.attacked, f.then)
		require.Equal(t, "ok", next.ending, "%+v", next)
		require.Equal(t, "mine\n", next.stdout+next.stderr)
	}
	require.Eventually(t, func() bool { return f.atLimit || !a.box.hasZombies(t) }, patience, probeEvery)
	if got = a.mend(t, f, got); got.ending == "" {
		stop()
		return
	}
	a.settle(t, got)
	sound := a.run(t, a.attacked, a.sound)
	require.Equal(t, "p\n", sound.stdout, "%+v", sound)
	require.Zero(t, sound.errors)
	stop()
	if f.endings == sabotage { // what it has broken must not be taken for the next attack's work
		a.restart(t, a.attacked)
	}
	if f.leaves > 0 || f.atLimit {
		a.restart(t, a.attacked)
		require.Eventually(t, func() bool { return len(a.box.processes(t)) == 0 }, patience, probeEvery)
	}
}

// hasZombies reports whether nobody has waited for a process of the container.
func (b *box) hasZombies(t *testing.T) bool {
	t.Helper()
	return slices.ContainsFunc(b.processes(t), func(p process) bool { return p.state == "Z" })
}

// mend restarts a context that sabotage has left with an interpreter which answers nothing but errors; then it returns no
// outcome. Else it returns the outcome to go on from: a kernel may die of the first question, if it says so.
func (a *arena) mend(t *testing.T, f foray, got outcome) outcome {
	t.Helper()
	if f.endings != sabotage {
		return got
	}
	next := a.run(t, a.attacked, a.ask, wire.Execute{TimeoutMS: 10_000})
	switch {
	case next.state == "lost":
		require.Equal(t, "preserved", got.state, "one loss is told once")
		return next
	case next.ending == "error":
		t.Logf("restarted: %s: %s", next.errName, next.errValue)
		a.restart(t, a.attacked)
		return outcome{}
	}
	return got
}
