package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"cubby/api/wire"
	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

func (a *app) ctxExec() *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use:   "exec ID (-c CODE | FILE | -)",
		Short: "Run code in a context",
		Long: `Run code in a context. Output streams as it comes; results are printed as text. Ctrl-C interrupts the code.

Exit codes: 0; 1 where the code failed; 125 where cubby, the server or the connection did.`,
		Example: `  cubby ctx exec $id -c 'x = 41'
  cubby ctx exec $id script.py
  echo 'x + 1' | cubby ctx exec $id -`,
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			code, env, err := s.read(cmd, args[1:], a.stdin)
			if err != nil {
				return err
			}
			return a.exec(cmd.Context(), wire.Execute{
				Code: code, ContextID: args[0], EnvVars: env, TimeoutMS: s.timeout.Milliseconds(),
			}, s.raw)
		},
	}
	s.flags(cmd)
	return cmd
}

// exec runs code in a context and ends as it did.
func (a *app) exec(ctx context.Context, request wire.Execute, raw bool) error {
	c := a.console(raw)
	err := a.client().Execute(ctx, request, func(line wire.Line) error { return showLine(c, line) })
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil: // the server interrupts what its client leaves
		return errors.Join(errFailed, c.note("interrupted"))
	case err != nil:
		return err
	}
	return c.outcome()
}

// showLine prints one line of a server's answer. An ending has said itself before, as an error.
func showLine(c *console, line wire.Line) error {
	switch line := line.(type) {
	case wire.Output:
		return c.show(orchestrator.Event{Type: kernel.EventType(line.Type), Text: line.Text})
	case wire.Result:
		return c.show(orchestrator.Event{Type: kernel.TypeResult, Data: representations(line)})
	case wire.ExecutionError:
		return c.failure(line.Name, line.Value, line.Traceback)
	case wire.Gap:
		return c.show(orchestrator.Event{Type: kernel.TypeGap, Bytes: line.Bytes})
	case wire.EndOfExecution:
		c.ending = kernel.Ending(line.Ending)
	}
	return nil
}

// representations returns a result by MIME type, the text with its value, the others by name only.
func representations(r wire.Result) map[string]json.RawMessage {
	data := map[string]json.RawMessage{}
	for mime, there := range map[string]bool{
		"text/html": r.HTML != nil, "text/markdown": r.Markdown != nil, "image/svg+xml": r.SVG != nil, "image/png": r.PNG != nil,
		"image/jpeg": r.JPEG != nil, "application/pdf": r.PDF != nil, "text/latex": r.LaTeX != nil,
		"application/json": r.JSON != nil, "application/javascript": r.JavaScript != nil,
	} {
		if there {
			data[mime] = nil
		}
	}
	for mime := range r.Extra {
		data[mime] = nil
	}
	if r.Text != nil {
		data["text/plain"], _ = json.Marshal(*r.Text) // a string can always be written
	}
	return data
}
