package supervisor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

// TestBashSabotage holds that code cannot keep the next execution from working, or else that it ends this one's kernel.
func TestBashSabotage(t *testing.T) {
	for _, code := range []string{
		"for fd in /proc/$$/fd/*; do echo '{\"type\":\"done\"}' >$fd; done 2>/dev/null",
		"for fd in {0..20}; do (echo '{\"type\":\"done\",\"count\":0}' >&$fd); done 2>/dev/null",
		"printf() { :; }; echo() { :; }; eval() { :; }; exec() { :; }; source() { :; }; unset() { :; }; export() { :; }",
		".() { :; }",
		"alias printf=: builtin=: source=: eval=: exec=:",
		"alias '{'='echo hi;' '}'=: '!'=: 'A=$'=: function=: if=:; (exit 3)",
		"set -eu -o pipefail",
		"trap 'builtin echo x' DEBUG ERR RETURN; set -T",
		"trap 'builtin echo x' INT CHLD",
		"PS1='$(echo prompt) ' PS2=x PS4=y PROMPT_COMMAND='echo prompt; false'; set -x",
		"exec 2>&- 1>&-",
		"exec </dev/null",
		"unset PATH; IFS=0123456789abcdefx",
		"POSIXLY_CORRECT=1",
		"ulimit -n 64; umask 777",
		"cd /tmp && mkdir gone.$$ && cd gone.$$ && rmdir ../gone.$$",
		"readonly TOKEN; cubby() { :; }; LANG=nowhere; BASH_ENV=/dev/null; TMOUT=0;",
		"shopt -s extdebug failglob; set -f -C -n",
		"sleep 1000 & disown; set -o history; exec 0<&- 3>/dev/null 255>&-",
	} {
		t.Run(code, func(t *testing.T) {
			s := bootedShell(t)
			s.run(code)
			sink := s.run(`\builtin echo "$((6 * 7)) $A"`, "A", "it's")
			require.Contains(t, sink.text(kernel.TypeStdout), "42 it's\n", code)
			require.NoError(t, s.Ping(t.Context()))
		})
	}
}

// findChannel sets c to the descriptor that bash keeps its channel on while code runs. The test itself may have inherited
// some to bash.
const findChannel = `for f in /proc/$$/fd/*; do [[ $(readlink "$f") != socket:* || ${f##*/} -lt ${c:-10} ]] || c=${f##*/}; done`

// TestBashFatalSabotage does what bash does not survive, which is said.
func TestBashFatalSabotage(t *testing.T) {
	for _, tt := range []struct{ code, exit string }{
		{"echo before; exit 3", "exit status 3"},
		{"echo before; exec true", "exit status 0"},
		{"echo before; set -e; false", "exit status 1"},
		{"echo before; kill -9 $$", "signal: killed"},
		{"echo before; kill -SEGV $$", "signal: segmentation fault"},
		{"echo before; eval \"exec $c<&-\"", "exit status"},
		{"echo before; echo garbage >&$c", `kernel sent no frame but "garbage"`},
		{"echo before; builtin() { :; }", "bash does not report any more"},
		{"echo before; enable -n printf", "bash does not report any more"},
		{"echo before; read -r -u $c line", "bash does not report any more"},
		{"echo before; shopt -s extdebug; trap false DEBUG; set -T", "bash does not report any more"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			s := bootedShell(t)
			s.run(findChannel)
			var sink recorder
			err := s.try(tt.code, &sink)
			if err == nil {
				err = s.try("echo next", &recorder{})
			}
			require.ErrorIs(t, err, ErrExited)
			require.Contains(t, s.Exit().Value, tt.exit)
			require.Equal(t, "before\n", sink.text(kernel.TypeStdout))
		})
	}
}

// TestBashThief lets something else read the commands: the code must not seem to have run.
func TestBashThief(t *testing.T) {
	s := bootedShell(t)
	s.run(findChannel)
	s.run("(while read -r -u $c -t 60 line; do :; done) & sleep 0.1")
	for {
		var sink recorder
		if err := s.try("echo mine", &sink); err != nil {
			require.ErrorIs(t, err, ErrExited)
			require.Contains(t, s.Exit().Value, "reads")
			return
		}
		require.Equal(t, "mine\n", sink.text(kernel.TypeStdout), "bash was faster than the thief")
	}
}

// TestBashInterruptRaces interrupts executions at all moments.
func TestBashInterruptRaces(t *testing.T) {
	s := bootedShell(t)
	s.run("x=41 n=0")
	for i := range 300 {
		var sink recorder
		ended := make(chan error, 1)
		code := []string{"n=$((n + 1))", "echo $x", "sleep 0.002", "(:); while ((n++ < 1000)); do :; done; n=0"}[i%4]
		go func() { ended <- s.try(code, &sink, "A", "b") }()
		require.Eventually(t, func() bool { return len(sink.kinds()) > 0 }, 10*time.Second, 100*time.Microsecond)
		time.Sleep(time.Duration(i%20) * 100 * time.Microsecond)
		require.NoError(t, s.Interrupt())
		require.NoError(t, <-ended)
		// bash itself ends with 127, and without a word, where it is interrupted as it forks a subshell: so does one that is
		// sent (:) and SIGINT by hand, once in some hundred times.
		require.Contains(t, []string{"", "127", "130"}, sink.status(), "%s: %s", code, sink.text(kernel.TypeStderr))
		require.NoError(t, s.Ping(t.Context()))
		s.prints("42\n", "echo $((x + 1))$A")
	}
}
