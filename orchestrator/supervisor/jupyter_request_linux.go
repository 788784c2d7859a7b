package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"cubby/orchestrator/kernel"
)

// jupyterOK is the status of a reply to a request that was carried out.
const jupyterOK = "ok"

// codeAttempts is how often code of an image is tried: an interrupt that comes late may hit it.
const codeAttempts = 3

// jupyterRequest is a request to a kernel and what comes back.
type jupyterRequest struct {
	id    string
	sink  Sink                // of a cell; nil: what it publishes is nobody's
	reply chan jupyterContent // capacity 1
	idle  chan struct{}       // closed when the kernel has said that it has published all

	// The adapter's mutex guards these.
	begun, failed, over, quiet bool
}

// newID returns an id for a message.
func newID() string { return rand.Text() }

// open makes a request, whose answers are taken from now on. One with a sink is a cell.
func (j *jupyter) open(sink Sink) *jupyterRequest {
	r := &jupyterRequest{id: newID(), sink: sink, reply: make(chan jupyterContent, 1), idle: make(chan struct{})}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests[r.id] = r
	if sink == nil {
		return r
	}
	if j.cells = append(j.cells, r.id); len(j.cells) > maxOutputs {
		delete(j.requests, j.cells[0])
		j.cells = j.cells[1:]
	}
	return r
}

// forget lets answers to a request go to nobody.
func (j *jupyter) forget(r *jupyterRequest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.requests, r.id)
}

// find returns the request that a message answers, or nil.
func (j *jupyter) find(msg jupyterMessage) *jupyterRequest {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.requests[msg.parent]
}

// ask sends a request and returns the reply. When ctx ends first, the kernel is of no more use.
func (j *jupyter) ask(ctx context.Context, r *jupyterRequest, kind string, content any) (jupyterContent, error) {
	stop := context.AfterFunc(ctx, func() { j.wire.giveUp(0) })
	reply, err := j.await(ctx, r, kind, content)
	if stop(); err != nil {
		j.wire.giveUp(0) // also where ctx ended a moment ago
	}
	return reply, err
}

// await is ask for a request that may be sent again.
func (j *jupyter) await(ctx context.Context, r *jupyterRequest, kind string, content any) (jupyterContent, error) {
	if err := j.wire.send(j.wire.shell, kind, r.id, nil, content); err != nil && ctx.Err() == nil {
		<-j.exited // the connection breaks when the kernel dies, and its death is the better reason
	}
	select {
	case reply := <-r.reply:
		return reply, nil
	case <-j.exited:
	case <-ctx.Done():
		return jupyterContent{}, fmt.Errorf("kernel did not answer the %s: %w", kind, ctx.Err())
	}
	select {
	case reply := <-r.reply: // its last words
		return reply, nil
	default:
		return jupyterContent{}, ErrExited
	}
}

// codeValues is what code of an image is told.
type codeValues struct {
	Cwd string            `json:"cwd,omitempty"`
	Env map[string]string `json:"env"`
}

// quietly runs code of the image, which counts as no execution and publishes nothing.
func (j *jupyter) quietly(ctx context.Context, code string, values codeValues) (jupyterContent, error) {
	if values.Env == nil {
		values.Env = map[string]string{}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return jupyterContent{}, fmt.Errorf("encode what the kernel is told: %w", err)
	}
	code = strings.ReplaceAll(code, codePlaceholder, base64.StdEncoding.EncodeToString(text))
	r := j.open(nil)
	defer j.forget(r)
	return j.ask(ctx, r, jupyterExecute, executeRequest(code, true))
}

// insist runs code of the image that has to be carried out.
func (j *jupyter) insist(ctx context.Context, what, code string, values codeValues) error {
	var reply jupyterContent
	for range codeAttempts {
		var err error
		if reply, err = j.quietly(ctx, code, values); err != nil || reply.Status == jupyterOK {
			return err
		}
	}
	return fmt.Errorf("kernel did not %s: %s: %s", what, reply.Ename, shorten(reply.Evalue))
}

// executeRequest returns the content of a request to run code.
func executeRequest(code string, silent bool) any {
	return map[string]any{
		"code": code, "silent": silent, "store_history": !silent, "user_expressions": struct{}{},
		"allow_stdin": false, "stop_on_error": false,
	}
}

// takeReply takes a message from the shell.
func (j *jupyter) takeReply(msg jupyterMessage) {
	r := j.find(msg)
	if r == nil || !strings.HasSuffix(msg.kind, "_reply") {
		return
	}
	content, _ := msg.read() // one that cannot be read is an answer all the same
	select {
	case r.reply <- content:
	default: // the answer to a request that was sent again
	}
}

// takeQuestion answers a question to a person, of whom there is none, at once: a kernel may wait for it for ever.
func (j *jupyter) takeQuestion(msg jupyterMessage) {
	if msg.kind == jupyterInputRequest {
		answer := map[string]string{"status": jupyterOK, "value": ""}
		_ = j.wire.send(j.wire.stdin, jupyterInputReply, newID(), msg.header, answer)
	}
}

// takePublished takes a message from iopub.
func (j *jupyter) takePublished(msg jupyterMessage) {
	r := j.find(msg)
	if r == nil {
		return
	}
	content, ok := msg.read()
	if !ok {
		return
	}
	switch msg.kind {
	case jupyterStatus:
		if content.State == "idle" {
			j.quieten(r)
		}
	case jupyterInput:
		j.begin(r, content.Count)
	case jupyterStream:
		stream := kernel.TypeStdout
		if content.Name == "stderr" {
			stream = kernel.TypeStderr
		}
		j.publish(r, kernel.Event{Type: stream, Text: content.Text})
	case jupyterDisplay, jupyterResult:
		j.publish(r, kernel.Event{Type: kernel.TypeResult, Data: content.Data, Main: msg.kind == jupyterResult})
	case jupyterError:
		j.fail(r, content)
	}
}

// quieten notes that all is published that a request publishes by itself.
func (j *jupyter) quieten(r *jupyterRequest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !r.quiet {
		r.quiet = true
		close(r.idle)
	}
}
