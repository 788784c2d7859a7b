//go:build integration

package abusetest

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

// TestB20Sabotage: code in the driver's own process breaks what it can reach. At the worst this kernel dies, and says so,
// or answers with errors until it is restarted; what never happens is that an execution hangs or that the next one
// answers something else.
func TestB20Sabotage(t *testing.T) {
	a := newArena(t, startServer(t))
	for name, code := range map[string]string{
		"empty namespace":                  "import __main__; __main__.__dict__.clear()",
		"no modules":                       "import sys; sys.modules.clear()",
		"no json":                          "import json; json.dumps = json.loads = json.JSONEncoder = json.JSONDecoder = None",
		"no os":                            "import os; os.write = os.dup2 = os.close = os._exit = os.environ = None",
		"no imports":                       "import builtins; builtins.__import__ = None",
		"no path":                          "import sys; sys.path.clear(); sys.meta_path.clear(); sys.path_hooks.clear()",
		"few builtins":                     "import builtins; del builtins.len, builtins.isinstance, builtins.Exception, builtins.open",
		"no builtins":                      "import builtins; builtins.__dict__.clear()",
		"every object looked at":           "import gc\nlen([repr(o)[:10] for o in gc.get_objects() if isinstance(o, (str, bytes, int, list))])",
		"every container emptied":          "import gc\nfor o in gc.get_objects():\n    try: o.clear()\n    except BaseException: pass",
		"a trace function":                 "import sys\ndef trace(*a): return trace\nsys.settrace(trace)",
		"a trace function that raises":     "import sys, threading\nsys.settrace(lambda *a: 1/0); threading.settrace(lambda *a: 1/0)",
		"a profile function that exits":    "import sys, os\nsys.setprofile(lambda *a: os._exit(7))",
		"the shell emptied":                "get_ipython().__dict__.clear()",
		"the shell's class broken":         "type(get_ipython()).run = type(get_ipython()).repair = None",
		"the kernel's class broken":        "import driver_kernel; driver_kernel.Kernel._finish = None",
		"the channel's class broken":       "import driver_channel; driver_channel.Channel.send = lambda *a, **k: None",
		"the driver's modules emptied":     "import sys\nfor name, module in list(sys.modules.items()):\n    if name.startswith('driver'): module.__dict__.clear()",
		"the loop stopped":                 "import asyncio; asyncio.get_running_loop().stop()",
		"the loop emptied":                 "import asyncio; asyncio.get_running_loop().__dict__.clear()",
		"the loop without its reader":      "import asyncio; asyncio.get_running_loop().remove_reader(3)",
		"the loop's callbacks gone":        "import asyncio; asyncio.get_running_loop()._ready.clear(); asyncio.get_running_loop().call_soon = None",
		"all tasks cancelled":              "import asyncio\nfor t in asyncio.all_tasks(): t.cancel()",
		"little recursion":                 "import sys; sys.setrecursionlimit(60)",
		"SIGINT's default":                 "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); signal.raise_signal(signal.SIGINT)",
		"an alarm that raises":             "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1/0); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nwhile True: pass",
		"an alarm that kills":              "import signal, time; signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(2)",
		"hooks of the interpreter":         "import sys\nsys.excepthook = sys.unraisablehook = sys.displayhook = sys.breakpointhook = None\n1/0",
		"an audit hook that refuses":       "import sys\ndef hook(event, args):\n    if event in ('exec', 'compile', 'import'): raise RuntimeError(event)\nsys.addaudithook(hook)",
		"weak references, at the exit":     "import atexit, os; atexit.register(os._exit, 9); import weakref; weakref.ref = None",
		"the formatters and the display":   "ip = get_ipython(); ip.display_formatter = ip.displayhook = ip.display_pub = None\n1",
		"the collector let loose":          "import gc; gc.set_threshold(1, 1, 1); gc.callbacks.append(lambda *a: 1/0)",
		"descriptors used up":              "import os\nused = []\nwhile True: used.append(os.dup(0))",
		"the thread of the interpreter":    "import threading, ctypes\nctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(SystemExit))\nfor i in range(1000): pass",
		"memory of the interpreter":        "import ctypes; ctypes.memset(id(type(get_ipython())), 0x41, 64); get_ipython()",
		"a program in the kernel's place":  "import os; os.execv('/bin/sleep', ['sleep', '1000'])",
		"a program that speaks the frames": "import os; os.set_inheritable(3, True); os.execv('/bin/sh', ['sh', '-c', 'printf \"%s\\\\n\" \\'{\"type\":\"done\"}\\' >&3; sleep 0.3'])",
	} {
		t.Run(name, func(t *testing.T) {
			a.again(t)
			stop := a.watch(t)
			got := a.run(t, a.attacked, code, wire.Execute{TimeoutMS: 3000})
			require.Contains(t, []string{"ok", "error", "crashed", "timeout"}, got.ending, "%+v", got)
			require.Equal(t, got.ending == "crashed", got.errName == "KernelDied", "a kernel's death is no error of the code: %+v", got)
			next := a.run(t, a.attacked, "print('p')\n1 + 1", wire.Execute{TimeoutMS: 10_000})
			t.Logf("ended %s (%s) %s; the next %s (%s) %s", got.ending, got.state, got.errValue, next.ending, next.state, next.errValue)
			switch {
			case next.state == "lost": // by what the kernel died of, which was said
				require.Equal(t, "preserved", got.state, "one loss is told once")
			case next.ending == "error": // an interpreter that runs code, but is of no use
				a.restart(t, a.attacked)
			default:
				require.Equal(t, "p\n", next.stdout)
				require.Equal(t, "2", next.text)
				require.Zero(t, next.errors)
			}
			require.Equal(t, "2", a.run(t, a.attacked, "1 + 1").text)
			require.Empty(t, a.box.cores(t))
			stop()
		})
	}
}

// TestB21HostileValues: what a value does when it is shown happens within its execution and its limits.
func TestB21HostileValues(t *testing.T) {
	a := newArena(t, startServer(t))
	const class = "class V:\n    def __repr__(self): "
	for name, c := range map[string]struct {
		code, text, errName string
		endings             []string
		deadline            int64
	}{
		"a repr of 100 MB":             {code: class + "return 'x' * 10**8\nV()", text: "left out"},
		"a repr that raises":           {code: class + "1/0\nV()", errName: "ZeroDivisionError"},
		"a repr that exits":            {code: class + "raise SystemExit\nV()", errName: "SystemExit"},
		"a repr that is no text":       {code: class + "return 1\nV()", errName: "TypeError"},
		"a repr that loops":            {code: class + "\n        while True: pass\nV()", errName: "TimeoutError", endings: []string{"timeout"}, deadline: 1000},
		"a repr that prints":           {code: class + "print('p'); return 'shown'\nV()", text: "shown"},
		"a repr that forks":            {code: "import os\n" + class + "os.fork(); return 'shown'\nV()", text: "shown"},
		"a repr that kills":            {code: "import os\n" + class + "os._exit(0)\nV()", errName: "KernelDied", endings: []string{"crashed"}},
		"a repr that recurses":         {code: class + "return repr(self)\nV()", errName: "RecursionError"},
		"a list in itself":             {code: "l = []; l.append(l)\nl", text: "[[...]]"},
		"a deep list":                  {code: "l = []\nfor i in range(10**5): l = [l]\nl", errName: "RecursionError"},
		"1000 MIME types":              {code: "class V:\n    def _repr_mimebundle_(self, **k): return {f't{i}/x': 'y' for i in range(1000)}\nV()", text: "left out"},
		"a MIME type of 100 kB":        {code: "class V:\n    def _repr_mimebundle_(self, **k): return {'x/' + 'z' * 10**5: 'y'}\nV()", text: "left out"},
		"a bundle that is no JSON":     {code: "display({'text/plain': 'shown', 'application/json': {1: {2, 3}, 'nan': float('nan')}}, raw=True)\n'shown'", text: "shown"},
		"a text that raises":           {code: "class E(Exception):\n    def __str__(self): raise ValueError\nraise E", errName: "E"},
		"an error of 50 MB":            {code: "raise ValueError('x' * 50_000_000)", errName: "ValueError"},
		"an error with a name of 5 MB": {code: "raise type('x' * 5_000_000, (Exception,), {})", errName: "*"},
		"100 000 chained errors":       {code: "e = None\nfor i in range(10**5):\n    n = ValueError(i); n.__cause__ = e; e = n\nraise e", errName: "ValueError"},
		"errors in a circle":           {code: "a, b = ValueError('a'), ValueError('b'); a.__cause__, b.__cause__ = b, a\nraise a", errName: "ValueError"},
		"a group of 1000 errors":       {code: "raise ExceptionGroup('g', [ValueError(i) for i in range(1000)])", errName: "ExceptionGroup"},
		"a traceback 900 calls deep":   {code: "def f(n): return 1/0 if n == 0 else f(n - 1)\nf(900)", errName: "ZeroDivisionError"},
		"a class that lies":            {code: "class M(type):\n    __name__ = property(lambda s: 1/0)\nclass E(Exception, metaclass=M): pass\nraise E", errName: "*"},
	} {
		t.Run(name, func(t *testing.T) {
			a.again(t)
			got := a.attack(t, c.code, wire.Execute{TimeoutMS: cmp.Or(c.deadline, 30_000)})
			switch {
			case c.endings != nil:
				require.True(t, slices.Contains(c.endings, got.ending), "%+v", got)
			case c.errName != "":
				require.Equal(t, "error", got.ending, "%+v", got)
			default:
				require.Equal(t, "ok", got.ending, "%+v", got)
			}
			require.Contains(t, got.text, c.text)
			if c.errName != "*" {
				require.Equal(t, c.errName, got.errName)
			}
			require.Less(t, len(got.errValue)+len(got.traceback)+len(got.errName), 9<<20)
			require.Equal(t, strings.Count(got.stdout, "p\n"), strings.Count(c.code, "print"))
		})
	}
}
