//go:build integration

package abusetest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// survived is an attack that ends ok or with an error of its own, after which the context is as it was.
const survived = "survived"

// TestDescriptorsAndStreams: whatever code does to 0, 1 and 2 or to Python's streams, its execution ends, and the next
// one's output comes.
func TestDescriptorsAndStreams(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct{ name, code, stdout, want string }{
		{"B11 everything closed", "import os; os.closerange(0, 1024)", "", "crashed"},
		{"B11 the channel closed", "import os; os.close(3)", "", "crashed"},
		{"B11 0, 1 and 2 closed", "import os\nprint('before')\nfor fd in 0, 1, 2: os.close(fd)", "before\n", survived},
		{"B11 closed by a shell", "!exec 0<&- 1>&- 2>&-; echo lost\nprint('after')", "after\n", survived},
		{"B11 closed in a child that lives on", "!(exec 0<&- 1>&- 2>&-; sleep 1000) &\nprint('after')", "after\n", survived},
		{"B12 output to nowhere", "import os; os.dup2(os.open('/dev/null', 1), 1); os.write(1, b'lost')", "", survived},
		{"B12 both streams swapped", "import os; a, b = os.dup(1), os.dup(2); os.dup2(b, 1); os.dup2(a, 2); os.write(2, b'out')", "out", survived},
		{"B12 output to the channel", "import os; os.dup2(3, 1); os.write(1, b'no frame\\n')", "", "crashed"},
		{"B12 output to a pipe that is full", "import os; r, w = os.pipe(); os.dup2(w, 1); os.set_blocking(w, False)\nwhile os.write(1, b'x' * 65536) == 65536: pass", "", survived},
		{"B13 no streams", "import sys; sys.stdout = sys.stderr = sys.stdin = None", "", survived},
		{"B13 a full device", "import sys; sys.stdout = open('/dev/full', 'w'); print('lost'); sys.stdout.flush()", "", survived},
		{"B13 streams that raise", "import sys\nclass S:\n    def write(self, t): raise RuntimeError\n    flush = write\nsys.stdout = sys.stderr = S()", "", survived},
		{"B13 streams closed", "import sys; sys.stdout.close(); sys.stderr.close(); sys.stdin.close()\nimport os; os.close(1)", "", survived},
		{"B13 originals replaced", "import sys; sys.__stdout__ = sys.__stderr__ = sys.stdout = None; sys.displayhook = None", "", survived},
		{"B13 print replaced in the namespace", "print = len", "", survived},
		{"B13 methods of the stream replaced", "import sys; sys.stdout.write = sys.stdout.flush = sys.stdout.buffer.write = None", "", survived},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.again(t)
			got := a.attack(t, c.code)
			if c.want == survived {
				require.Contains(t, []string{"ok", "error"}, got.ending, "%+v", got)
				require.Equal(t, "preserved", got.state)
			} else {
				require.Equal(t, c.want, got.ending, "%+v", got)
				require.Equal(t, "lost", got.state)
			}
			require.Equal(t, c.stdout, got.stdout)
			next := a.run(t, a.attacked, "import builtins, os, sys\nbuiltins.print('p'); os.write(1, b'w\\n'); os.system('echo s'); builtins.print('e', file=sys.stderr)\nglobals().pop('print', None)\nNone")
			require.Equal(t, "ok", next.ending, "%+v", next)
			require.Equal(t, "p\nw\ns\n", next.stdout)
			require.Equal(t, "e\n", next.stderr)
		})
	}
}

// TestB16StandardInput: reading finds the end of the input at once, never a byte of the protocol.
func TestB16StandardInput(t *testing.T) {
	a := newArena(t, startServer(t))
	for _, c := range []struct{ name, code, stdout, text, errName string }{
		{"input()", "input('name? ')", "name? ", "", "EOFError"},
		{"sys.stdin", "import sys\nsys.stdin.read(), list(sys.stdin)", "", "('', [])", ""},
		{"descriptor 0", "import os\nos.read(0, 100)", "", "b''", ""},
		{"a shell", "!read line; echo $?; cat; echo $?", "1\n0\n", "", ""},
		{"a password", "import getpass, warnings\nwarnings.simplefilter('ignore')\ngetpass.getpass('')", "", "", "EOFError"},
		{"a debugger", "breakpoint()", "", "", "BdbQuit"},
		{"a child that inherits all", "import subprocess\nsubprocess.run(['cat'], close_fds=False).returncode", "", "0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := a.attack(t, c.code)
			require.Equal(t, c.errName, got.errName, "%+v", got)
			require.Equal(t, c.text, got.text)
			if c.errName != "BdbQuit" {
				require.Equal(t, c.stdout, got.stdout)
			}
		})
	}
}
