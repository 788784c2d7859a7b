package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cubby/api/client"
)

func (a *app) ctxFollow() *cobra.Command {
	var after uint64
	var raw bool
	cmd := &cobra.Command{
		Use:   "follow CONTEXT EXECUTION",
		Short: "Show what an execution does, to its end",
		Long: `Show what an execution does, from its beginning or behind an event that is known, to its end. When the connection
breaks, as with a restart of the server, it is made again. An execution has one reader: the newest takes over from
others, 'cubby ctx exec' included. Ctrl-C leaves the execution alone.

Exit codes: those of 'cubby ctx exec'.`,
		Example: `  execution=$(cubby ctx exec --detach $id train.py)
  cubby ctx follow $id $execution`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.follow(cmd.Context(), args[0], args[1], after, raw)
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "number of the last event that is known")
	cmd.Flags().BoolVar(&raw, "raw", false, "let control characters through to the terminal")
	return cmd
}

// follow shows an execution's events and ends as it did.
func (a *app) follow(ctx context.Context, contextID, executionID string, after uint64, raw bool) error {
	c := a.console(raw)
	for ev, err := range a.client().Events(ctx, contextID, executionID, after) {
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("left; the execution goes on, and this shows the rest: %s", a.followCommand(contextID, executionID, after))
		case err != nil:
			return err
		}
		if err := c.showEvent(ev); err != nil {
			return err
		}
		after = max(after, ev.Sequence())
	}
	return c.outcome()
}

// followCommand returns the command line that follows an execution.
func (a *app) followCommand(contextID, executionID string, after uint64) string {
	command := fmt.Sprintf("%s ctx follow %s %s", cmp.Or(a.program, "cubby"), contextID, executionID)
	if after > 0 {
		command += fmt.Sprintf(" --after %d", after)
	}
	if a.config.URL != client.DefaultURL {
		command = "CUBBY_URL=" + a.config.URL + " " + command
	}
	return command
}
