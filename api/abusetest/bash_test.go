//go:build integration

package abusetest

import (
	"strings"
	"testing"
)

// afterwards is what an execution does that waits for something late.
const afterwards = "until [ -e said ]; do sleep 0.01; done; rm said; sleep 0.1; echo mine"

// TestBash: the attacks in the shell that is the context itself.
func TestBash(t *testing.T) {
	a := newForeignArena(t, bash)
	a.forays(t, "", []foray{
		{name: "A1 a fork bomb", code: ":(){ :|:& };:\nuntil false; do true; done", deadline: 2000, endings: "timeout", atLimit: true},
		{name: "A5 memory without end", code: "printf -v hog '%*s' 2000000000 x", endings: "oom", says: "OutOfMemoryError", oomKills: 1},
		{name: "A8 a full /tmp", code: "dd if=/dev/zero of=/tmp/f bs=1M; rm /tmp/f; echo mended", endings: "ok", stdout: "mended\n"},
		{name: "A10 the root", code: "echo x >/big", endings: "error", says: "1"},
		{name: "A13 a loop", code: "while :; do :; done", deadline: 1000, endings: "timeout", says: "TimeoutError"},
		{name: "A15 signals ignored", code: "trap '' INT TERM HUP; while :; do :; done", deadline: 1000, endings: "timeout"},
		{name: "A15 an interrupt that is trapped", code: "trap 'echo on' INT; while :; do :; done", deadline: 1000, endings: "timeout"},
		{name: "A16 stopped", code: "kill -STOP $$", deadline: 1000, endings: "timeout"},
		{name: "A17 recursion", code: "ulimit -s 1024; f(){ f; };f", endings: "crashed|error|oom"},
		{name: "A18 daemons", code: "for i in $(seq 300); do (sleep 0.1 &); done", endings: "ok"},
		{name: "B1 output without end", code: "yes", output: 1 << 20, endings: "output_limit", says: "OutputLimit"},
		{name: "B1 output of the shell without end", code: "while :; do echo x; done", output: 1 << 17, endings: "output_limit"},
		{name: "B4 noise", code: "head -c 1M /dev/urandom; head -c 1M /dev/urandom >&2", endings: "ok"},
		{name: "B9 frames on every descriptor", code: `for f in /proc/$$/fd/*; do case $f in */[012]) ;; *) echo '{"type":"done"}' >$f & esac; done 2>/dev/null; sleep 0.3; echo real`, deadline: 5000, endings: "ok|error|crashed|timeout"},
		{name: "B9 frames of a child", code: `for fd in 3 4 5 6 7 8 9; do sh -c "echo '{\"type\":\"done\"}' >&$fd" 2>/dev/null; done; echo real`, endings: "ok", stdout: "real\n"},
		{name: "B11 0, 1 and 2 closed", code: "exec 0<&- 1>&- 2>&-", endings: sabotage},
		{name: "B11 everything closed", code: "for f in /proc/$$/fd/*; do eval \"exec ${f##*/}>&-\"; done 2>/dev/null", endings: sabotage},
		{name: "B13 a full device", code: "exec >/dev/full 2>&1; echo lost", endings: "ok|error"},
		{name: "B14 a child", code: "(sleep 0.3; echo late; echo late >&2; touch said) &", endings: "ok", then: afterwards},
		{name: "B14 a daemon", code: "setsid sh -c 'sleep 0.3; echo late; echo late >&2; touch said' &", endings: "ok", then: afterwards},
		{name: "B15 daemons", code: "nohup sleep 9999 >/dev/null 2>&1 & setsid sleep 9999 & (sleep 9999 &)", endings: "ok", leaves: 3},
		{name: "B16 standard input", code: "read -r line; echo $?; cat; echo $?", endings: "ok", stdout: "1\n0\n"},
		{name: "B16 the terminal", code: "read -r line </dev/tty; echo end", endings: "ok", stdout: "end\n"},
		{name: "B17 an exit", code: "exit 0", endings: "crashed", says: "KernelDied: the kernel died: exit status 0"},
		{name: "B17 a program in its place", code: "exec true", endings: "crashed", says: "exit status 0"},
		{name: "B17 an exit at the first error", code: "set -e; false; echo on", endings: "crashed|error"},
		{name: "B18 a segmentation fault", code: "kill -SEGV $$", endings: "crashed", says: "segmentation fault"},
		{name: "B18 an abort", code: "kill -ABRT $$", endings: "crashed", says: "aborted"},
		{name: "B18 a child's fault", code: "sh -c 'kill -SEGV $$' 2>/dev/null; echo $?", endings: "ok", stdout: "139\n"},
		{name: "B19 a kill of PID 1", code: "kill -9 1", endings: "error"},
		{name: "B19 a kill of all others", code: "kill -9 -1", endings: "ok|error"},
		{name: "B19 a kill of each", code: "for p in /proc/[0-9]*; do kill -9 ${p##*/}; done 2>/dev/null", endings: "crashed", says: "killed"},
		{name: "B24 a document without an end", code: "cat <<END\nx", endings: "ok", stdout: "x\n"},
		{name: "B24 brackets", code: strings.Repeat("(", 100_000), endings: "error|crashed"},
		{name: "B24 a NUL", code: "echo a\x00b", endings: "error", says: "NUL"},
		{name: "B25 its world", code: "cd /; unset HOME PATH LANG; ulimit -n 16", endings: "ok"},
		{name: "B20 functions", code: "printf(){ :; }; eval(){ exit 9; }; exec(){ exit 9; }; trap(){ exit 9; }; read(){ exit 9; }; .(){ exit 9; }", endings: sabotage},
		{name: "B20 aliases", code: "shopt -s expand_aliases; alias echo=exit eval=exit printf=exit exec=exit trap=exit", endings: sabotage},
		{name: "B20 builtins", code: "enable -n eval exec printf trap read source", endings: sabotage},
		{name: "B20 traps", code: "trap true DEBUG ERR RETURN; trap 'exit 9' CHLD; sleep 0.01", endings: sabotage},
		{name: "B20 options", code: "set -euf -o pipefail -o posix -o noclobber; shopt -s extdebug failglob nullglob", endings: sabotage},
		{name: "B20 prompts", code: "PS1='$(exit 9)' PS0='${x:?}' PS2= PS4='$(exit 9)' PROMPT_COMMAND='exit 7'", endings: sabotage},
		{name: "B20 a prompt that loops", code: "PROMPT_COMMAND='while :; do :; done'", endings: sabotage},
		{name: "B20 words", code: "IFS=0123456789aeiou/; PATH=; HOME=; unset BASH_VERSION; POSIXLY_CORRECT=1; BASH_ENV=/x; LD_PRELOAD=/x", endings: sabotage},
		{name: "B20 read-only variables", code: "readonly PATH HOME PWD IFS PS1", endings: sabotage},
		{name: "B20 limits", code: "ulimit -n 8; ulimit -f 0; ulimit -u 1", endings: sabotage},
		{name: "B20 job control", code: "set -m; sleep 0.01 & fg; set +m; stty -echo 2>/dev/null; disown -a", endings: sabotage},
	})
}
