package supervisor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// scriptedKernel is the first argument of this test's program when it is to be a Jupyter kernel; the second is the path of
// a connection file.
const scriptedKernel = "scripted-kernel"

// TestMain makes a kernel of this program where that is asked for: one on another implementation of ZeroMQ than ours.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == scriptedKernel {
		if err := runKernel(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// kernelProcess is a Jupyter kernel whose language has a command a line.
type kernelProcess struct {
	jupyterSigner
	shell, iopub, stdin, control zmq4.Socket
	interrupts                   chan os.Signal
	count                        int
	saved                        map[string]string
}

// runKernel is the life of the kernel.
func runKernel(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file struct {
		Transport, IP, Key string
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	ctx := context.Background()
	k := &kernelProcess{
		jupyterSigner: jupyterSigner{key: file.Key, session: "kernel"}, saved: map[string]string{},
		shell: zmq4.NewRouter(ctx), iopub: zmq4.NewPub(ctx), stdin: zmq4.NewRouter(ctx), control: zmq4.NewRouter(ctx),
		interrupts: make(chan os.Signal, 1),
	}
	signal.Notify(k.interrupts, os.Interrupt)
	for i, socket := range []zmq4.Socket{k.shell, k.iopub, k.stdin, k.control} {
		if err := socket.Listen(fmt.Sprintf("%s://%s-%d", file.Transport, file.IP, i+1)); err != nil {
			return err
		}
	}
	go k.serveControl()
	for {
		msg, err := k.shell.Recv()
		if err != nil {
			return err
		}
		k.serve(&kernelRequest{kernelProcess: k, frames: msg.Frames})
	}
}

// serveControl takes interrupts and the order to shut down.
func (k *kernelProcess) serveControl() {
	for {
		msg, err := k.control.Recv()
		if err != nil {
			return
		}
		var header jupyterHeader
		_ = json.Unmarshal(msg.Frames[3], &header)
		switch header.Kind {
		case jupyterInterrupt:
			k.interrupts <- os.Interrupt
			r := kernelRequest{kernelProcess: k, frames: msg.Frames}
			r.send(k.control, "interrupt_reply", map[string]any{"status": "ok"})
		case jupyterShutdown:
			os.Exit(5)
		}
	}
}

// kernelRequest is a message on the shell: an identity, the delimiter, a signature, and four parts.
type kernelRequest struct {
	*kernelProcess
	frames  [][]byte
	content struct {
		Code   string
		Silent bool
	}
	replied bool
}

// serve answers one request.
func (k *kernelProcess) serve(r *kernelRequest) {
	var header jupyterHeader
	_ = json.Unmarshal(r.frames[3], &header)
	_ = json.Unmarshal(r.frames[6], &r.content)
	r.publish(jupyterStatus, map[string]any{"execution_state": "busy"})
	switch header.Kind {
	case jupyterKernelInfo:
		r.reply("kernel_info_reply", map[string]any{"status": "ok", "language_info": map[string]any{"version": "1.2"}})
	case jupyterExecute:
		r.execute()
	}
	r.publish(jupyterStatus, map[string]any{"execution_state": "idle"})
}

// execute runs a command a line until one fails.
func (r *kernelRequest) execute() {
	select {
	case <-r.interrupts: // one that is late
	default:
	}
	if !r.content.Silent {
		r.count++
		r.publish(jupyterInput, map[string]any{"execution_count": r.count, "code": r.content.Code})
	}
	for line := range strings.SplitSeq(r.content.Code, "\n") {
		command, argument, _ := strings.Cut(line, " ")
		if err := r.command(command, argument); err != nil {
			failure := map[string]any{"ename": "Oops", "evalue": err.Error(), "traceback": []string{"a", "b"}}
			if !r.content.Silent {
				r.publish(jupyterError, failure)
			}
			failure["status"], failure["execution_count"] = "error", r.count
			r.reply(jupyterExecuteReply, failure)
			return
		}
	}
	if !r.replied {
		r.reply(jupyterExecuteReply, map[string]any{"status": "ok", "execution_count": r.count})
	}
}

// command carries out a line.
func (r *kernelRequest) command(command, argument string) error {
	switch command {
	case "print":
		r.publish(jupyterStream, map[string]any{"name": "stdout", "text": argument})
	case "much":
		length, _ := strconv.Atoi(argument)
		r.publish(jupyterStream, map[string]any{"name": "stderr", "text": strings.Repeat("x", length)})
	case "raw":
		fmt.Print(argument)
	case "show", "value":
		kind := map[string]string{"show": jupyterDisplay, "value": jupyterResult}[command]
		r.publish(kind, map[string]any{"data": map[string]any{"text/plain": argument}})
	case "fail":
		return fmt.Errorf("%s", argument)
	case "wait":
		<-r.interrupts
		return fmt.Errorf("interrupted")
	case "hang":
		signal.Ignore(os.Interrupt)
		select {}
	case "ask":
		r.send(r.stdin, jupyterInputRequest, map[string]any{"prompt": argument})
		answer, err := r.stdin.Recv()
		r.publish(jupyterStream, map[string]any{"name": "stdout", "text": fmt.Sprintf("%s %v", answer.Frames[6], err)})
	case "late":
		later := *r
		time.AfterFunc(100*time.Millisecond, func() {
			later.publish(jupyterStream, map[string]any{"name": "stdout", "text": argument})
		})
	case "sleep":
		time.Sleep(300 * time.Millisecond)
	case "exit":
		status, _ := strconv.Atoi(argument)
		os.Exit(status)
	case "quit":
		r.replied = true
		r.reply(jupyterExecuteReply, map[string]any{"status": "ok", "payload": []any{map[string]any{"source": "ask_exit"}}})
	case "quiet": // an end that iopub loses
		r.replied = true
		r.reply(jupyterExecuteReply, map[string]any{"status": "ok", "execution_count": r.count})
		r.frames = nil
	case "aborted":
		r.replied = true
		r.reply(jupyterExecuteReply, map[string]any{"status": "aborted"})
	case "noise":
		_ = r.iopub.Send(zmq4.NewMsgFrom([]byte("topic"), []byte("no delimiter")))
		_ = r.iopub.Send(zmq4.NewMsgFrom(jupyterDelimiter, []byte("signature"), []byte("{"), []byte("}"), nil, []byte("{}"), nil))
		r.publish(jupyterStream, "no object")
		r.publish(jupyterStream, map[string]any{"name": 7, "text": []int{1}})
		r.publish("comm_open", map[string]any{"data": 5})
		forged, _ := jupyterSigner{key: "another"}.message(jupyterStream, "x", json.RawMessage(r.frames[3]), map[string]any{"text": "forged"})
		_ = r.iopub.Send(zmq4.NewMsgFrom(forged...))
	case "close":
		_ = r.iopub.Close()
		select {}
	case "env":
		value, set := os.LookupEnv(argument)
		r.publish(jupyterStream, map[string]any{"name": "stdout", "text": fmt.Sprint(value, set, "\n")})
	case "setup", "enter", "leave":
		return r.prepare(command, argument)
	}
	return nil
}

// prepare is the language's way to a working directory and variables.
func (r *kernelRequest) prepare(command, argument string) error {
	text, err := base64.StdEncoding.DecodeString(argument)
	if err != nil {
		return err
	}
	var values codeValues
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	if values.Cwd != "" {
		if err := os.Chdir(values.Cwd); err != nil {
			return err
		}
	}
	for name, value := range values.Env {
		switch {
		case name == "REFUSED":
			return fmt.Errorf("no such variable")
		case command != "leave":
			if old, set := os.LookupEnv(name); set && command == "enter" {
				r.saved[name] = old
			}
			_ = os.Setenv(name, value)
		default:
			_ = os.Unsetenv(name)
			if old, saved := r.saved[name]; saved {
				_ = os.Setenv(name, old)
				delete(r.saved, name)
			}
		}
	}
	return nil
}

// publish sends a message to all.
func (r *kernelRequest) publish(kind string, content any) {
	if r.frames == nil {
		return
	}
	parts, err := r.message(kind, newID(), json.RawMessage(r.frames[3]), content)
	if err == nil {
		_ = r.iopub.Send(zmq4.NewMsgFrom(append([][]byte{[]byte("kernel." + kind)}, parts...)...))
	}
}

// reply answers.
func (r *kernelRequest) reply(kind string, content any) { r.send(r.shell, kind, content) }

// send sends a message to who has sent the request.
func (r *kernelRequest) send(socket zmq4.Socket, kind string, content any) {
	parts, err := r.message(kind, newID(), json.RawMessage(r.frames[3]), content)
	if err == nil {
		_ = socket.Send(zmq4.NewMsgFrom(append([][]byte{r.frames[0]}, parts...)...))
	}
}
