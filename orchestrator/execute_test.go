package orchestrator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func TestExecuteRefuses(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	for name, tc := range map[string]struct {
		req  orchestrator.ExecuteRequest
		kind error
	}{
		"unknown context":      {orchestrator.ExecuteRequest{Context: "nope"}, orchestrator.ErrNotFound},
		"unknown language":     {orchestrator.ExecuteRequest{Language: "cobol"}, orchestrator.ErrUnknownLanguage},
		"context and language": {orchestrator.ExecuteRequest{Context: id, Language: "python"}, orchestrator.ErrInvalid},
		"too much code":        {orchestrator.ExecuteRequest{Context: id, Code: strings.Repeat("x", orchestrator.MaxCode+1)}, orchestrator.ErrTooLarge},
		"code that grows":      {orchestrator.ExecuteRequest{Context: id, Code: strings.Repeat("\x01", orchestrator.MaxCode)}, orchestrator.ErrTooLarge},
		"code that is no text": {orchestrator.ExecuteRequest{Context: id, Code: "print \xff"}, orchestrator.ErrInvalid},
		"negative timeout":     {orchestrator.ExecuteRequest{Context: id, Timeout: -1}, orchestrator.ErrInvalid},
		"endless timeout":      {orchestrator.ExecuteRequest{Context: id, Timeout: 100 * time.Hour}, orchestrator.ErrInvalid},
		"too large an env":     {orchestrator.ExecuteRequest{Context: id, Env: map[string]string{"A": strings.Repeat("x", orchestrator.MaxEnv)}}, orchestrator.ErrTooLarge},
		"env that is no text":  {orchestrator.ExecuteRequest{Context: id, Env: map[string]string{"A": "\xff"}}, orchestrator.ErrInvalid},
		"env with NUL":         {orchestrator.ExecuteRequest{Context: id, Env: map[string]string{"A": "\x00"}}, orchestrator.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Execute(t.Context(), tc.req)
			require.ErrorIs(t, err, tc.kind)
		})
	}
	require.Equal(t, fine("still here\n"), h.run(id, "print still here"))
}

func TestExecutionsOfOneContextQueue(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	var running []*orchestrator.Execution
	running = append(running, h.start(id, "gate g"))
	for i := range kernel.QueueLength {
		running = append(running, h.start(id, fmt.Sprintf("print %d", i)))
	}
	_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: "print too many"})
	require.ErrorIs(t, err, orchestrator.ErrCapacity)
	require.ErrorContains(t, err, "64 executions already wait")
	require.Equal(t, orchestrator.StateBusy, h.get(id).State)
	h.engine.Open("g")
	require.Equal(t, fine(""), h.listen(running[0]))
	for i, e := range running[1:] {
		require.Equal(t, fine(fmt.Sprintf("%d\n", i)), h.listen(e))
	}
}

func TestQueueTakesOnlySoMuchCode(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	running := []*orchestrator.Execution{h.start(id, "gate g")}
	code := "set x " + strings.Repeat("x", orchestrator.MaxCode-6)
	for range kernel.QueueBytes / orchestrator.MaxCode {
		_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: code[:len(code)-10]})
		require.NoError(t, err)
	}
	_, err := h.Execute(t.Context(), orchestrator.ExecuteRequest{Context: id, Code: code})
	require.ErrorIs(t, err, orchestrator.ErrCapacity)
	require.ErrorContains(t, err, "more than 16 MiB of code")
	h.engine.Open("g")
	require.Equal(t, fine(""), h.listen(running[0]))
	require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
}

func TestMarkupDoesNotGrowOnItsWay(t *testing.T) {
	h := newHouse(t)
	markup := strings.Repeat("<a>&\"", (orchestrator.MaxCode-6)/5)
	require.Equal(t, fine(markup+"\n"), h.run(h.create(), "print "+markup))
}

func TestCodeOfWhatHasStartedIsLetGo(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	code := "set x " + strings.Repeat("x", orchestrator.MaxCode-20)
	running := h.start(id, code+"\ngate g")
	h.reached("g")
	ev, err := running.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, kernel.TypeStarted, ev.Type)
	for range kernel.QueueBytes / orchestrator.MaxCode { // the whole queue is free for what waits
		h.start(id, code)
	}
	h.engine.Open("g")
	require.Equal(t, fine(""), h.listen(running))
}

func TestInterrupt(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	h.run(id, "set x 1")
	running, waiting := h.start(id, "gate never"), h.start(id, "print never")
	h.reached("never")
	require.NoError(t, h.Interrupt(t.Context(), id))
	interrupted := told{"!KeyboardInterrupt", kernel.EndingInterrupted, kernel.StatePreserved}
	require.Equal(t, interrupted, h.listen(running))
	require.Equal(t, told{"", kernel.EndingInterrupted, kernel.StatePreserved}, h.listen(waiting), "unrun")
	running.Interrupt() // over: nothing happens
	require.Equal(t, fine("=1"), h.run(id, "get x"))
	require.ErrorIs(t, h.Interrupt(t.Context(), "nope"), orchestrator.ErrNotFound)
}

func TestExecutionsCostNoWriteToTheDisk(t *testing.T) {
	h := newHouse(t)
	id := h.create()
	require.NoError(t, h.store.Close())
	for range 3 {
		require.Equal(t, fine("hi\n"), h.run(id, "print hi"))
	}
}
