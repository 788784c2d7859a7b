package enginetest

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"cubby/orchestrator/kernel"
	"cubby/orchestrator/supervisor"
)

// script is a kernel whose language has one statement a line:
//
//	print TEXT      writes a line to standard output
//	set NAME VALUE  sets a variable
//	get NAME        shows a variable; one that is not set is a NameError
//	cwd             shows the working directory
//	env NAME        shows an environment variable, or nothing
//	flood BYTES     writes so many bytes to standard output, as fast as its reader takes them
//	late NAME TEXT  writes a line to standard output once the test has opened the gate, whatever runs then
//	gate NAME       waits until the test opens the gate, or for an interrupt
//	hang            waits for its death, deaf to interrupts
//	die             ends the kernel
type script struct {
	life   context.Context //nolint:containedctx // the container's
	spawn  func(func())    // starts a goroutine that somebody waits for
	boot   func() error
	setup  func() error
	gates  *gates
	exited chan struct{}

	mu        sync.Mutex
	exit      supervisor.Exit
	count     int
	cwd       string
	env, vars map[string]string
	interrupt chan struct{} // of the execution that runs
}

var _ supervisor.Adapter = (*script)(nil)

func newScript(life context.Context, spawn func(func()), boot, setup func() error, g *gates) *script {
	return &script{
		life: life, spawn: spawn, boot: boot, setup: setup, gates: g, exited: make(chan struct{}), env: map[string]string{}, vars: map[string]string{},
		interrupt: make(chan struct{}, 1),
	}
}

func (k *script) Boot(context.Context) (string, error) {
	if err := k.boot(); err != nil {
		k.die(err.Error())
		return "", err
	}
	return "1.0", nil
}

func (k *script) Setup(_ context.Context, cwd string, env map[string]string) error {
	if strings.HasPrefix(cwd, "/missing") {
		return &supervisor.CwdError{Value: "no such directory: " + cwd}
	}
	if err := k.setup(); err != nil {
		return &supervisor.CwdError{Value: err.Error()}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cwd = cwd
	for name, value := range env {
		k.env[name] = value
	}
	return nil
}

func (k *script) Ping(context.Context) error { return nil }

func (k *script) Interrupt() error {
	select {
	case k.interrupt <- struct{}{}:
	default:
	}
	return nil
}

func (k *script) Kill(context.Context) error { k.die("signal: killed"); return nil }

func (k *script) Exited() <-chan struct{} { return k.exited }

func (k *script) Exit() supervisor.Exit {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exit
}

func (k *script) die(how string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.exited:
	default:
		k.exit = supervisor.Exit{Value: how}
		close(k.exited)
	}
}

// Execute implements supervisor.Adapter.
func (k *script) Execute(ctx context.Context, run supervisor.Run, sink supervisor.Sink) error {
	k.mu.Lock()
	k.count++
	count := k.count
	select {
	case <-k.interrupt: // one that came too late for the execution before
	default:
	}
	k.mu.Unlock()
	sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: count})
	for line := range strings.Lines(run.Code) {
		failure, err := k.statement(ctx, strings.TrimSpace(line), run, sink)
		if err != nil {
			return err
		}
		if failure != "" {
			sink.Event(kernel.Event{Type: kernel.TypeError, Name: failure, Value: line, Traceback: failure})
			break
		}
	}
	return nil
}

// statement runs one line. The error is that of a dead kernel.
func (k *script) statement(ctx context.Context, line string, run supervisor.Run, sink supervisor.Sink) (failure string, err error) {
	verb, rest, _ := strings.Cut(line, " ")
	k.mu.Lock()
	defer k.mu.Unlock()
	switch verb {
	case "":
	case "print":
		sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: rest + "\n"})
	case "set":
		name, value, _ := strings.Cut(rest, " ")
		k.vars[name] = value
	case "get":
		value, ok := k.vars[rest]
		if !ok {
			return "NameError", nil
		}
		show(sink, value)
	case "cwd":
		show(sink, k.cwd)
	case "env":
		value, ok := run.Env[rest]
		if !ok {
			value = k.env[rest]
		}
		show(sink, value)
	case "late":
		gate, text, _ := strings.Cut(rest, " ")
		k.spawn(func() { k.late(gate, text, sink) })
	case "flood":
		k.mu.Unlock()
		defer k.mu.Lock()
		return k.flood(rest, sink), nil
	case "gate", "hang", "die":
		k.mu.Unlock()
		defer k.mu.Lock()
		return k.wait(ctx, verb, rest)
	default:
		return "SyntaxError", nil
	}
	return "", nil
}

// wait carries out the statements that take time.
func (k *script) wait(ctx context.Context, verb, gate string) (failure string, err error) {
	var open, interrupted <-chan struct{}
	switch verb {
	case "die":
		k.die("exit status 1")
	case "gate":
		open, interrupted = k.gates.pass(gate), k.interrupt
	}
	select {
	case <-open:
		return "", nil
	case <-interrupted:
		return "KeyboardInterrupt", nil
	case <-k.exited:
		return "", supervisor.ErrExited
	case <-ctx.Done():
		return "", supervisor.ErrExited
	}
}

// late prints what an execution has left behind.
func (k *script) late(gate, text string, sink supervisor.Sink) {
	select {
	case <-k.gates.pass(gate):
		sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: text + "\n"})
	case <-k.life.Done():
	}
}

// flood prints much.
func (k *script) flood(size string, sink supervisor.Sink) (failure string) {
	left, err := strconv.Atoi(size)
	if err != nil {
		return "ValueError"
	}
	for left > 0 {
		n := min(left, kernel.MaxText)
		sink.Ready(n, k.exited)
		sink.Event(kernel.Event{Type: kernel.TypeStdout, Text: strings.Repeat("x", n)})
		left -= n
	}
	return ""
}

func show(sink supervisor.Sink, value string) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // a string is always JSON
	}
	sink.Event(kernel.Event{Type: kernel.TypeResult, Main: true, Data: map[string]json.RawMessage{"text/plain": text}})
}

// gates are the places where a test holds executions up.
type gates struct {
	mu     sync.Mutex
	opened map[string]chan struct{}
	seen   map[string]chan struct{}
}

func newGates() *gates {
	return &gates{opened: map[string]chan struct{}{}, seen: map[string]chan struct{}{}}
}

func (g *gates) pass(name string) <-chan struct{} {
	shut(g, g.seen, name)
	return channel(g, g.opened, name)
}

func (g *gates) open(name string) { shut(g, g.opened, name) }

func (g *gates) reached(name string) <-chan struct{} { return channel(g, g.seen, name) }

func channel(g *gates, of map[string]chan struct{}, name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if of[name] == nil {
		of[name] = make(chan struct{})
	}
	return of[name]
}

// shut closes a channel once.
func shut(g *gates, of map[string]chan struct{}, name string) {
	c := channel(g, of, name)
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-c:
	default:
		close(c)
	}
}
