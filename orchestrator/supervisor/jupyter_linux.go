package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

const (
	// nudgeEvery is how long a kernel may take for an answer before it is asked once more: the first messages of its
	// iopub go to nobody, and an interrupt that comes late may cost a kernel a message.
	nudgeEvery = time.Second
	// idleGrace is how long nothing may be published after the reply of an execution, before the status that ends it is
	// taken for lost; idleTurns is how many times that it is waited for at most.
	idleGrace = 500 * time.Millisecond
	idleTurns = 60
)

// jupyter is the adapter of a kernel that speaks the Jupyter messaging protocol.
type jupyter struct {
	language Language
	user     *userThread
	reaper   *Reaper
	boot     *tail
	reading  sync.WaitGroup // of pipes, the spool, and interrupts on their way; as native's
	raw      rawOutput      // what the process writes to its standard output and standard error

	wire   *jupyterWire // set by Boot
	spool  *spool       // set by Boot
	killed atomic.Bool
	exited chan struct{}
	exit   Exit // read after exited

	mu            sync.Mutex
	process       *process
	requests      map[string]*jupyterRequest // by the ids of their messages
	cells         []string                   // the ids of those that run code of the user, oldest first
	running       bool                       // code of the user, which an interrupt may hit
	interrupted   bool                       // the code that runs, or ran last
	interruptID   string                     // of the newest interrupt that was sent as a message
	interruptSeen chan struct{}              // closed once the kernel has answered that; nil: it has, or there is none
}

var _ Adapter = (*jupyter)(nil)

// newJupyter returns the adapter of a language's Jupyter kernel.
func newJupyter(language Language, user *userThread, reaper *Reaper) *jupyter {
	j := &jupyter{
		language: language, user: user, reaper: reaper,
		boot: &tail{}, exited: make(chan struct{}), requests: map[string]*jupyterRequest{},
	}
	j.raw.sink = j.boot
	return j
}

// Boot implements Adapter.
func (j *jupyter) Boot(ctx context.Context) (version string, err error) {
	signer := newSigner()
	dir, err := j.start(signer.key)
	if err != nil {
		j.exit = Exit{Value: err.Error()}
		close(j.exited)
		return "", err
	}
	j.wire, err = connectJupyter(ctx, dir, signer, j.process.exited)
	j.listen()
	if err == nil {
		version, err = j.greet(ctx)
	}
	// The directory stays until then: ipykernel writes into it, and opens some of it, after the sockets that we need.
	err = errors.Join(err, dir.remove())
	if err == nil {
		return version, nil
	}
	select {
	case <-j.exited: // its death is the better reason
		err = ErrExited
	case <-time.After(kernel.Grace):
	case <-ctx.Done():
	}
	return "", fmt.Errorf("%w%s", err, j.boot.report())
}

// start starts the kernel and what reads its output.
func (j *jupyter) start(key string) (*jupyterDir, error) {
	language, err := withSpec(j.language, jupyterDirs)
	if err != nil {
		return nil, err
	}
	j.language = language
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open the kernel's standard input: %w", err)
	}
	defer stdin.Close()
	dir, err := newJupyterDir(j.user, key)
	if err != nil {
		return nil, err
	}
	if language.Argv, err = withConnection(language.Argv, kernelEnv(language.Env), dir.file()); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	stdout, stderr, err := j.raw.open(j.user, &j.raw, newPipe)
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	defer stdout.Close()
	defer stderr.Close()
	process, err := j.reaper.spawn(language, j.user.uid, stdin, stdout, stderr)
	if err != nil {
		j.raw.close()
		return nil, errors.Join(err, dir.remove())
	}
	j.mu.Lock()
	j.process = process
	j.mu.Unlock()
	j.spool = newSpool(process.exited, spoolSize)
	j.reading.Go(j.spool.run)
	j.reading.Go(j.raw.stdout.run)
	j.reading.Go(j.raw.stderr.run)
	return dir, nil
}

// listen reads from the kernel, as far as there are connections, until it is dead.
func (j *jupyter) listen() {
	if w := j.wire; w != nil {
		w.read(w.shell, j.takeReply)
		w.read(w.control, j.takeControl)
		w.read(w.iopub, j.takePublished)
		w.read(w.stdin, j.takeQuestion)
	}
	go j.bury()
}

// bury waits for the kernel's death, sees to all that it has left, and says that it is dead.
func (j *jupyter) bury() {
	var fault error
	broken := make(chan struct{})
	if j.wire != nil {
		broken = j.wire.broken
	}
	select {
	case <-j.process.exited:
	case <-broken: // a kernel that has closed a socket and lives on is of no use
		select {
		case <-j.process.exited:
		case <-time.After(kernel.Grace):
			j.killed.Store(true)
			fault = errors.New("kernel closed its sockets")
			_ = j.process.signalGroup(unix.SIGKILL) // the supervisor kills the rest
			<-j.process.exited
		}
	}
	if j.wire != nil {
		j.wire.giveUp(restTime)
		j.wire.reading.Wait()
		j.wire.close()
	}
	j.raw.drain()
	j.raw.flush()
	j.spool.close()
	j.exit = exitOf(j.process.status, fault, j.killed.Load(), "")
	j.exit.Process = processOf(j.language, j.process.pid)
	close(j.exited)
}

// greet asks the kernel who it is until it has answered and what it publishes arrives.
func (j *jupyter) greet(ctx context.Context) (version string, err error) {
	for {
		r := j.open(nil)
		reply, err := j.ask(ctx, r, jupyterKernelInfo, struct{}{})
		if err != nil {
			return "", err
		}
		select {
		case <-r.idle:
			j.forget(r)
			return reply.Language.Version, nil
		case <-time.After(nudgeEvery / 10):
			j.forget(r)
		case <-j.exited:
			return "", ErrExited
		case <-ctx.Done():
			return "", fmt.Errorf("kernel publishes nothing: %w", ctx.Err())
		}
	}
}

// errUntellable says what a language without code for it lacks.
var errUntellable = errors.New("this language takes neither a working directory nor environment variables: " +
	"its image's language.json has no code for them")

// Setup implements Adapter.
func (j *jupyter) Setup(ctx context.Context, cwd string, env map[string]string) error {
	if j.language.untellable() {
		if cwd != "" && filepath.Clean(cwd) != Home || len(env) > 0 {
			return &CwdError{Value: errUntellable.Error()}
		}
		return nil
	}
	reply, err := j.quietly(ctx, j.language.Code.Setup, codeValues{Cwd: cwd, Env: env})
	if err != nil {
		return err
	}
	if reply.Status != jupyterOK {
		return &CwdError{Value: reply.Evalue}
	}
	return nil
}

// takeControl takes a message from the control channel: the reply to an interrupt, which then has no effect any more.
func (j *jupyter) takeControl(msg jupyterMessage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.interruptSeen != nil && msg.parent == j.interruptID {
		close(j.interruptSeen)
		j.interruptSeen = nil
	}
}

// Ping implements Adapter. A kernel that was sent an interrupt has seen it then.
func (j *jupyter) Ping(ctx context.Context) error {
	j.mu.Lock()
	seen := j.interruptSeen
	j.mu.Unlock()
	if seen != nil {
		select {
		case <-seen:
		case <-j.exited:
		case <-ctx.Done():
			return fmt.Errorf("kernel did not answer the interrupt: %w", ctx.Err())
		}
	}
	r := j.open(nil)
	defer j.forget(r)
	for {
		try, cancel := context.WithTimeout(ctx, nudgeEvery)
		_, err := j.await(try, r, jupyterKernelInfo, struct{}{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// Interrupt implements Adapter. Nothing but code of the user is interrupted.
func (j *jupyter) Interrupt() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.process == nil || !j.running {
		return nil
	}
	j.interrupted = true
	if j.language.Interrupt == interruptMessage {
		id, seen := newID(), make(chan struct{})
		j.interruptID, j.interruptSeen = id, seen
		// Not waited for: a kernel that does not read must not hold up the ladder. It ends with the connections.
		j.reading.Go(func() { _ = j.wire.send(j.wire.control, jupyterInterrupt, id, nil, struct{}{}) })
		return nil
	}
	return j.process.signalGroup(unix.SIGINT)
}

// Kill implements Adapter.
func (j *jupyter) Kill(ctx context.Context) error {
	j.killed.Store(true)
	return j.user.killAll(ctx)
}

// Exited implements Adapter.
func (j *jupyter) Exited() <-chan struct{} { return j.exited }

// Exit implements Adapter.
func (j *jupyter) Exit() Exit { return j.exit }
