package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/kernel"
)

func TestBashState(t *testing.T) {
	s := bootedShell(t)
	for _, step := range []struct{ code, prints string }{
		{"x=41; declare -A map=([k]=v); export E=e", ""},
		{"f() { echo $((x + 1)) ${map[k]}; }", ""},
		{"f; bash -c 'echo $E'", "42 v\ne\n"},
		{"shopt -s nullglob; alias greet='echo hello'; set -- one two", ""},
		{"shopt -p nullglob; greet; echo $#", "shopt -s nullglob\nhello\n2\n"},
		{"mkdir -p sub && cd sub; umask 077", ""},
		{`echo "${PWD##*/}"; umask`, "sub\n0077\n"},
		{"sleep 0.01 & pid=$!", ""},
		{"wait $pid; echo $?", "0\n"},
		{"cat; read line; echo $?", "1\n"},
		{"cat <<'END'\n'$x' \\n \"\nEND", "'$x' \\n \"\n"},
		{"echo '\x01\x7f 😀 \u2028|'", "\x01\x7f 😀 \u2028|\n"},
		{"# nothing", ""},
		{" \n\n ", ""},
		{"", ""},
		{"set -o pipefail; set +o | grep pipefail", "set -o pipefail\n"},
	} {
		s.prints(step.prints, step.code)
	}
	require.Equal(t, 16, s.count)
}

func TestBashErrors(t *testing.T) {
	s := bootedShell(t)
	for _, tt := range []struct{ code, status, stderr string }{
		{"echo before >&2; false", "1", "before\n"},
		{"(exit 3)", "3", ""},
		{"return 4", "4", ""},
		{"nonsense", "127", "bash: nonsense: command not found\n"},
		{"echo )", "2", "syntax error near unexpected token `)'"},
		{"if true; then", "2", "syntax error: unexpected end of file"},
		{"echo 'open", "2", "unexpected EOF while looking for matching `''"},
		{"echo ${none?is missing}; echo no", "1", "bash: none: is missing\n"},
		{"echo $((1 / 0)); echo no", "1", "division by 0"},
		{"readonly fixed=1; fixed=2; echo no", "1", "bash: fixed: readonly variable\n"},
		{"set -u; echo $nothing; echo no", "1", "bash: nothing: unbound variable\n"},
	} {
		sink := s.run(tt.code)
		require.Equal(t, tt.status, sink.status(), tt.code)
		require.Contains(t, sink.text(kernel.TypeStderr), tt.stderr, tt.code)
		require.Empty(t, sink.text(kernel.TypeStdout), tt.code)
		last := sink.events[len(sink.events)-1]
		require.Equal(t, kernel.Event{Type: kernel.TypeError, Value: tt.status}, last, "no name, and no traceback")
		s.prints(tt.status+"\n", "echo $?")
	}
	require.Contains(t, s.run("echo \x00").status(), "NUL")
	require.Contains(t, s.run("", "A", "\x00").status(), "NUL")
	require.Contains(t, s.run("", "a-b", "").status(), `"a-b"`)
	s.prints("alive\n", "echo alive")
}

func TestBashEnvironment(t *testing.T) {
	s := bootedShell(t)
	value := "'\"`$HOME $(id) \\n %s\n\ttwo lines; é 😀 \x01\x7f"
	require.NoError(t, s.Setup(t.Context(), s.home, map[string]string{"A": value, "B": ""}))
	const show = `printf '<%s>' "${A-unset}" "${B-unset}" "${C-unset}" "${D-unset}"; declare -p D 2>/dev/null; true`
	s.run("D=plain")
	before := "<" + value + "><><unset><plain>declare -- D=\"plain\"\n"
	s.prints(before, show)
	s.prints("<1><"+value+"><3><4>declare -x D=\"4\"\n", show, "A", "1", "B", value, "C", "3", "D", "4")
	s.prints(value, `bash -c 'printf %s "$C"'`, "C", value)
	s.prints(before, show)
	require.Equal(t, "1", s.run("A=5; unset B; echo ${none?}", "A", "1", "B", "2").status())
	s.prints(before, show)
	s.prints("by code", "C='by code'; D=changed; printf %s \"$C\"")
	s.prints("in the cell", "printf %s \"$C\"", "C", "in the cell")
	s.prints("by code changed", `printf %s "$C $D"`)
	s.run("false")
	s.prints("1\n", "echo $?", "C", "1")

	s.run("readonly A")
	sink := s.run("echo ${#A}", "A", "1", "C", "3")
	require.Equal(t, "bash: A: readonly variable\n", sink.text(kernel.TypeStderr), "what code has made so stays so")
}

func TestBashDirectories(t *testing.T) {
	s := bootedShell(t)
	path := filepath.Join(s.home, "new/it's \n$x")
	require.NoError(t, s.Setup(t.Context(), path, nil))
	s.prints(path, "printf %s \"$PWD\"; : >file")
	var cwd *CwdError
	for path, want := range map[string]string{
		"/nowhere/x":                      "no such directory: /nowhere/x",
		"/etc/passwd":                     "not a directory: /etc/passwd",
		filepath.Join(path, "file"):       "not a directory: " + filepath.Join(path, "file"),
		filepath.Join(path, "file/below"): "not a directory: " + filepath.Join(path, "file/below"),
		"/root":                           "cannot use the directory /root: permission denied",
	} {
		require.ErrorAs(t, s.Setup(t.Context(), path, nil), &cwd)
		require.Equal(t, want, cwd.Value)
	}
	require.NoError(t, s.Setup(t.Context(), "below/home", nil))
	s.prints(filepath.Join(s.home, "below/home"), "printf %s \"$PWD\"")
}

func TestBashOutput(t *testing.T) {
	t.Run("of a process that is left goes to its execution", func(t *testing.T) {
		s := bootedShell(t)
		late := s.run("{ until [ -e go ]; do sleep 0.01; done; echo late; echo problem >&2; : >said; } &")
		s.prints("next\n", ": >go; until [ -e said ]; do sleep 0.01; done; echo next")
		late.comes(t, kernel.TypeStdout, "late\n")
		late.comes(t, kernel.TypeStderr, "problem\n")
	})
	t.Run("of old executions is given up at last", func(t *testing.T) {
		s := bootedShell(t)
		s.run("sleep 1000 &")
		s.mu.Lock()
		first := s.outputs[0]
		s.mu.Unlock()
		for range maxOutputs {
			s.run("")
		}
		<-first.stdout.closed
		require.Len(t, s.outputs, maxOutputs)
	})
	t.Run("can be opened by name", func(t *testing.T) {
		s := bootedShell(t)
		sink := s.run("echo out >/dev/stdout; bash -c 'echo err >/dev/stderr'")
		require.Equal(t, "out\n", sink.text(kernel.TypeStdout))
		require.Equal(t, "err\n", sink.text(kernel.TypeStderr))
	})
	t.Run("much code and much output are whole", func(t *testing.T) {
		s := bootedShell(t)
		text := s.run("x='" + strings.Repeat("x\n", 1<<21) + "'\nseq -w 500000; echo ${#x}").text(kernel.TypeStdout)
		require.Len(t, text, 500000*7+len("4194304\n"))
		require.True(t, strings.HasSuffix(text, "499999\n500000\n4194304\n"))
	})
}

func TestBashInterrupt(t *testing.T) {
	s := bootedShell(t)
	for _, code := range []string{
		"sleep 60; echo x", "while :; do :; done", "f() { while sleep 0.01; do :; done; }; f | cat",
		"(while :; do :; done)", "echo $(sleep 60)", "read <> <(sleep 60)", "wait < <(sleep 60) $!; sleep 60", "trap 'echo bye' EXIT; (sleep 60)",
	} {
		s.prints("", "x=41; trap - EXIT")
		var sink recorder
		ended := make(chan error, 1)
		go func() { ended <- s.try("cd /tmp; x=42; echo up; "+code, &sink) }()
		sink.comes(t, kernel.TypeStdout, "up\n")
		time.Sleep(50 * time.Millisecond) // until it is in the statement that is meant
		require.NoError(t, s.Interrupt())
		select {
		case err := <-ended:
			require.NoError(t, err, code)
		case <-time.After(5 * time.Second):
			require.Fail(t, "not interrupted", code)
		}
		require.Equal(t, "130", sink.status(), code)
		require.NoError(t, s.Interrupt(), "one that comes late hits nothing")
		require.NoError(t, s.Ping(t.Context()))
		s.prints("42 /tmp\n", "echo $x $PWD")
	}
}

func TestBashKill(t *testing.T) {
	s := bootedShell(t)
	s.run("setsid sleep 1000 & (trap '' TERM INT HUP; sleep 1000) & sleep 1000 & kill -STOP $!")
	require.NoError(t, s.Kill(t.Context()))
	<-s.Exited()
	require.False(t, s.Exit().Killed, "it was us")
	require.NoError(t, s.Interrupt(), "a dead kernel is no error")
}

func TestBashThatIsNotThere(t *testing.T) {
	s := newShell(t)
	s.language.Argv = []string{"/nowhere/bash"}
	_, err := s.Boot(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	<-s.Exited()
}

func TestBashVariablesInPOSIXMode(t *testing.T) {
	s := bootedShell(t)
	s.run("set -o posix; .() { echo hidden; }")
	require.Equal(t, "secret\nsecret\n", s.run("echo $A; printenv A", "A", "secret").text(kernel.TypeStdout))
	s.prints("unset\n", "echo ${A-unset}")
}

// TestBashReadonlyVariables gives executions variables that code has made readonly: bash says so, and goes on.
func TestBashReadonlyVariables(t *testing.T) {
	for mode, status := range map[string]string{":": "", "set -o posix": "1"} {
		t.Run(mode, func(t *testing.T) {
			s := bootedShell(t)
			s.run("readonly A=kept; " + mode)
			for range 2 {
				sink := s.run("echo $A $B", "A", "1", "B", "2")
				require.Equal(t, "bash: A: readonly variable\n", sink.text(kernel.TypeStderr), "what code has made so stays so")
				require.Equal(t, status, sink.status())
				s.prints("kept 2\n", "echo $A $B", "B", "2")
			}
		})
	}
	t.Run("set -e", func(t *testing.T) {
		s := bootedShell(t)
		s.run("readonly A=kept; set -e")
		var sink recorder
		require.ErrorIs(t, s.try("echo no", &sink, "A", "1"), ErrExited, "it ends the shell, as every error then does")
		require.Equal(t, "bash: A: readonly variable\n", sink.text(kernel.TypeStderr))
		require.Empty(t, sink.text(kernel.TypeStdout))
	})
}

// TestBashPromptVariables holds that variables that tell a shell what to do at its prompt are data: ours has none.
func TestBashPromptVariables(t *testing.T) {
	for name, value := range map[string]string{
		"PROMPT_COMMAND": "exit 3", "PS0": "$(sleep 600)", "PS1": "$(sleep 600)", "PS2": "$(sleep 600)", "TMOUT": "1",
		"PS4": "$(exit 3)", "BASH_ENV": "/nowhere", "ENV": "/nowhere", "MAIL": "/etc/passwd", "HISTFILE": "/nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			_, err := s.Boot(t.Context())
			require.NoError(t, err)
			require.NoError(t, s.Setup(t.Context(), s.home, map[string]string{name: value, "A": "a"}))
			time.Sleep(1500 * time.Millisecond) // TMOUT would have passed
			show := fmt.Sprintf(`echo "$A $%s"; printenv %s`, name, name)
			s.prints("a "+value+"\n"+value+"\n", show)
			s.prints("b other\nother\n", show, "A", "b", name, "other")
			s.prints("a "+value+"\n"+value+"\n", show)
			require.NoError(t, s.Ping(t.Context()))
		})
	}
}
