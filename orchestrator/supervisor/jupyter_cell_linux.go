package supervisor

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

// errNUL is what is said of code that no language takes.
var errNUL = errors.New("the code holds a NUL character")

// Execute implements Adapter.
func (j *jupyter) Execute(ctx context.Context, run Run, sink Sink) error {
	if len(run.Env) > 0 && j.language.untellable() {
		sink.Event(kernel.Event{Type: kernel.TypeStarted})
		sink.Event(kernel.Event{Type: kernel.TypeError, Name: "EnvironmentError", Value: errUntellable.Error(), Traceback: errUntellable.Error()})
		return nil
	}
	if strings.ContainsRune(run.Code, 0) { // IRkernel would run what comes before it
		sink.Event(kernel.Event{Type: kernel.TypeStarted})
		sink.Event(kernel.Event{Type: kernel.TypeError, Name: "ValueError", Value: errNUL.Error(), Traceback: errNUL.Error()})
		return nil
	}
	values := codeValues{Env: run.Env}
	if len(run.Env) > 0 {
		if err := j.insist(ctx, "set the execution's environment", j.language.Code.Enter, values); err != nil {
			return err
		}
	}
	interrupted, err := j.runCell(ctx, run.Code, sink)
	if err != nil || len(run.Env) == 0 {
		return err
	}
	if interrupted {
		if err := j.Ping(ctx); err != nil { // a late interrupt must not hit what follows
			return err
		}
	}
	return j.insist(ctx, "restore its environment", j.language.Code.Leave, values)
}

// runCell runs code of the user. It reports whether an interrupt was sent.
func (j *jupyter) runCell(ctx context.Context, code string, sink Sink) (interrupted bool, err error) {
	r := j.open(sink)
	j.raw.drain() // what the earlier execution has written up to now is its own
	if j.language.Output != outputMessages {
		j.raw.turn(cellSink{j, r})
	}
	j.mu.Lock()
	j.running, j.interrupted = true, false
	j.mu.Unlock()
	reply, err := j.ask(ctx, r, jupyterExecute, executeRequest(code, false))
	j.mu.Lock()
	j.running, interrupted = false, j.interrupted
	j.mu.Unlock()
	if err != nil {
		return interrupted, err
	}
	if !j.settle(r) {
		return interrupted, ErrExited
	}
	j.begin(r, reply.Count)
	if reply.Status != jupyterOK {
		j.fail(r, reply)
	}
	j.raw.drain()
	j.raw.flush()
	j.mu.Lock()
	r.over = true
	j.mu.Unlock()
	j.spool.flush()
	for _, payload := range reply.Payload {
		if payload.Source == "ask_exit" {
			return interrupted, j.quit()
		}
	}
	return interrupted, nil
}

// settle waits until the kernel has published what a request whose reply has come publishes. The status that says so may
// be lost: then until nothing comes any more, or for so long. It reports false when the kernel died.
func (j *jupyter) settle(r *jupyterRequest) bool {
	quiet := time.NewTicker(idleGrace)
	defer quiet.Stop()
	for taken, turns := int64(-1), 0; turns < idleTurns; turns++ {
		select {
		case <-r.idle:
			return true
		case <-quiet.C:
		case <-j.exited:
			return false
		}
		before := taken
		if taken = j.wire.iopub.taken.Load(); taken == before && !j.wire.iopub.busy.Load() {
			break
		}
	}
	return true
}

// quit ends a kernel whose code has asked for its end, as Jupyter leaves it to whoever has started the kernel.
func (j *jupyter) quit() error {
	if err := j.wire.send(j.wire.control, jupyterShutdown, newID(), nil, map[string]bool{"restart": false}); err == nil {
		select {
		case <-j.exited:
			return ErrExited
		case <-time.After(kernel.Grace):
		}
	}
	_ = j.process.signalGroup(unix.SIGTERM)
	return errors.New("kernel was asked by its code to exit")
}

// begin tells, once, that a cell has started.
func (j *jupyter) begin(r *jupyterRequest, count int) {
	j.mu.Lock()
	begun := r.begun
	r.begun = true
	j.mu.Unlock()
	if !begun && r.sink != nil {
		r.sink.Event(kernel.Event{Type: kernel.TypeStarted, Count: count})
	}
}

// publish tells of output and results of a cell, after what its process has written before.
func (j *jupyter) publish(r *jupyterRequest, ev kernel.Event) {
	if r.sink == nil {
		return
	}
	j.raw.drain()
	j.put(r, ev)
}

// put tells of something of a cell in its turn.
func (j *jupyter) put(r *jupyterRequest, ev kernel.Event) {
	j.mu.Lock()
	late := r.over
	j.mu.Unlock()
	j.spool.put(r.sink, ev, late)
}

// fail tells, once, of a cell's error.
func (j *jupyter) fail(r *jupyterRequest, content jupyterContent) {
	j.mu.Lock()
	failed := r.failed
	r.failed = true
	j.mu.Unlock()
	if failed {
		return
	}
	ev := kernel.Event{
		Type: kernel.TypeError, Name: content.Ename, Value: content.Evalue, Traceback: strings.Join(content.Traceback, "\n"),
	}
	if content.Ename == "" && content.Evalue == "" { // the reply to one that was interrupted says nothing else
		ev.Name, ev.Value = "ExecutionAborted", "Execution was aborted"
	}
	j.publish(r, ev)
}

// cellSink takes what the kernel's process writes while a cell runs and after it.
type cellSink struct {
	adapter *jupyter
	cell    *jupyterRequest
}

// Event implements Sink.
func (s cellSink) Event(ev kernel.Event) { s.adapter.put(s.cell, ev) }

// Ready implements Sink.
func (s cellSink) Ready(size int, stop <-chan struct{}) { s.cell.sink.Ready(size, stop) }

// rawOutput are the pipes of a kernel's standard output and standard error, which are the same for all executions. What is
// written belongs to the execution that runs, or ran last. It is the sink of its pipes.
type rawOutput struct {
	outputs

	mu   sync.Mutex
	sink Sink
}

// turn lets what comes from now on go to another sink.
func (o *rawOutput) turn(sink Sink) {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink = sink
}

// current returns the sink.
func (o *rawOutput) current() Sink {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sink
}

// Event implements Sink.
func (o *rawOutput) Event(ev kernel.Event) { o.current().Event(ev) }

// Ready implements Sink.
func (o *rawOutput) Ready(size int, stop <-chan struct{}) { o.current().Ready(size, stop) }
