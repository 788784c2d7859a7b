package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"cubby/api/client"
	"cubby/api/wire"
)

func (a *app) ctxExec() *cobra.Command {
	var s source
	var detach bool
	cmd := &cobra.Command{
		Use:   "exec ID (-c CODE | FILE | -)",
		Short: "Run code in a context",
		Long: `Run code in a context. Output streams as it comes; results are printed as text.

The first Ctrl-C interrupts the code and waits until it has ended, a second one leaves at once. When cubby is ended in
another way the server interrupts the code, unless it runs with --detach: then the execution's id is printed, only
'cubby ctx interrupt', its deadline and its limits interrupt it, and 'cubby ctx follow' shows what it does.

Exit codes: 0; 1 where the code failed; 125 where cubby, the server or the connection did.`,
		Example: `  cubby ctx exec $id -c 'x = 41'
  cubby ctx exec $id script.py
  echo 'x + 1' | cubby ctx exec $id -
  cubby ctx follow $id $(cubby ctx exec --detach $id train.py)`,
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			code, env, err := s.read(cmd, args[1:], a.stdin)
			if err != nil {
				return err
			}
			request := wire.Execute{
				Code: code, ContextID: args[0], EnvVars: env, TimeoutMS: s.timeout.Milliseconds(), MaxOutputBytes: int64(s.maxOutput),
			}
			if detach {
				return a.detach(cmd.Context(), request)
			}
			return a.exec(cmd.Context(), request, s.raw)
		},
	}
	s.flags(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "print the execution's id and leave it alone")
	return cmd
}

// detach starts code in a context and prints the execution's id.
func (a *app) detach(ctx context.Context, request wire.Execute) error {
	started, err := a.client().Start(ctx, request.ContextID, wire.StartExecution{
		Code: request.Code, EnvVars: request.EnvVars, TimeoutMS: request.TimeoutMS, MaxOutputBytes: request.MaxOutputBytes,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(visible(a.stdout, a.stdoutTerminal), started.ID)
	return err
}

// exec runs code in a context and ends as it did. The end of ctx interrupts the code; exec waits for what becomes of it.
func (a *app) exec(ctx context.Context, request wire.Execute, raw bool) error {
	c, server := a.console(raw), a.client()
	reading, leave := context.WithCancel(context.WithoutCancel(ctx))
	opened := context.AfterFunc(ctx, leave) // before the code is accepted there is nothing to wait for
	stream, err := server.Stream(reading, request)
	if !opened() {
		err = errors.Join(errFailed, c.note("interrupted"))
	}
	var interrupting sync.WaitGroup
	defer interrupting.Wait()
	defer leave()
	if stream != nil {
		defer stream.Close()
	}
	if err != nil {
		return err
	}
	interrupting.Go(func() {
		select {
		case <-ctx.Done():
			if server.InterruptExecution(reading, request.ContextID, stream.ExecutionID) != nil {
				leave() // by which the server interrupts it as well
			}
		case <-reading.Done():
		}
	})
	err = stream.Each(c.showLine)
	switch {
	case errors.Is(err, client.ErrCut):
		return fmt.Errorf("%w; if the server was restarted, this shows what the code does: %s",
			err, a.followCommand(request.ContextID, stream.ExecutionID, 0))
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return errors.Join(errFailed, c.note("interrupted; how the execution ended is not known"))
	case err != nil:
		return err
	}
	return c.outcome()
}
