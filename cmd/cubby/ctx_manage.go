package main

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"cubby/api/client"
	"cubby/api/wire"
)

func (a *app) ctxCreate() *cobra.Command {
	var request wire.CreateContext
	var env []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a context and print its id",
		Example: `  cubby ctx create --language python --cwd /home/user/project
  cubby ctx create -e TOKEN=abc`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			variables, err := parseEnv(env)
			if err != nil {
				return err
			}
			request.EnvVars = variables
			return a.create(cmd.Context(), request, asJSON)
		},
	}
	cmd.Flags().StringVarP(&request.Language, "language", "l", "", "language (default: python)")
	cmd.Flags().StringVar(&request.Cwd, "cwd", "", "working directory (default: /home/user)")
	cmd.Flags().StringArrayVarP(&env, "env", "e", nil, "environment variable NAME=VALUE, any number of times")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole context as JSON")
	return cmd
}

func (a *app) create(ctx context.Context, request wire.CreateContext, asJSON bool) error {
	created, err := a.client().Create(ctx, request)
	if err != nil {
		return err
	}
	out := visible(a.stdout, a.stdoutTerminal)
	if asJSON {
		return printJSON(out, created)
	}
	_, err = fmt.Fprintln(out, created.ID)
	return err
}

func (a *app) ctxList() *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List contexts in the order of their creation",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := a.client().List(cmd.Context())
			if err != nil {
				return err
			}
			out := visible(a.stdout, a.stdoutTerminal)
			if asJSON {
				return printJSON(out, list)
			}
			rows := [][]string{{"ID", "LANGUAGE", "STATE", "CWD"}}
			for _, cc := range list {
				rows = append(rows, []string{cc.ID, cc.Language, cc.State, cc.Cwd})
			}
			if quiet {
				rows = onlyFirst(rows[1:])
			}
			return printTable(out, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the ids only")
	return cmd
}

// onlyFirst returns the first column.
func onlyFirst(rows [][]string) [][]string {
	for i := range rows {
		rows[i] = rows[i][:1]
	}
	return rows
}

func (a *app) ctxInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect ID",
		Short: "Tell all of one context: state, generation, image, limits",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			detail, err := a.client().Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			out := visible(a.stdout, a.stdoutTerminal)
			if asJSON {
				return printJSON(out, detail)
			}
			return printTable(out, describe(detail))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// describe returns the rows of one context.
func describe(d wire.ContextDetail) [][]string {
	state := d.State
	if d.Reason != "" {
		state += ": " + d.Reason
	}
	const seconds = "2006-01-02 15:04:05 MST"
	return [][]string{
		{"ID", d.ID},
		{"LANGUAGE", d.Language},
		{"CWD", d.Cwd},
		{"STATE", state},
		{"GENERATION", strconv.Itoa(d.Generation)},
		{"SANDBOX", d.Sandbox},
		{"CREATED", d.CreatedAt.UTC().Format(seconds)},
		{"LAST USED", d.LastUsedAt.UTC().Format(seconds)},
		{"IMAGE", d.Image.Tag},
		{"DIGEST", d.Image.ID},
		{"MEMORY", byteSize(d.Limits.MemoryBytes).String()},
		{"CPUS", strconv.FormatFloat(d.Limits.CPUs, 'g', -1, 64)},
		{"PIDS", strconv.FormatInt(d.Limits.PIDs, 10)},
		{"FILE SIZE", byteSize(d.Limits.FileBytes).String()},
		{"NETWORK", d.Network},
	}
}

func (a *app) ctxRestart() *cobra.Command {
	return &cobra.Command{
		Use:   "restart ID…",
		Short: "Give contexts fresh state; id, language, directory and files stay",
		Args:  arguments(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), ids, func(ctx context.Context, c *client.Client, id string) error { return c.Restart(ctx, id) })
		},
	}
}

func (a *app) ctxInterrupt() *cobra.Command {
	return &cobra.Command{
		Use:   "interrupt ID…",
		Short: "Interrupt what runs, and what waits to run, in contexts",
		Args:  arguments(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), ids, func(ctx context.Context, c *client.Client, id string) error { return c.Interrupt(ctx, id) })
		},
	}
}

func (a *app) ctxRemove() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "rm ID… | --all",
		Aliases: []string{"remove"},
		Short:   "Remove contexts",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return fmt.Errorf("name the contexts, or use --all\nSee '%s --help'", cmd.CommandPath())
			}
			if all {
				listed, err := a.allIDs(cmd.Context())
				if err != nil {
					return err
				}
				ids = listed
			}
			return a.each(cmd.Context(), ids, func(ctx context.Context, c *client.Client, id string) error { return c.Remove(ctx, id) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove all contexts of the server")
	return cmd
}

// allIDs returns the ids of the server's contexts.
func (a *app) allIDs(ctx context.Context) ([]string, error) {
	list, err := a.client().List(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(list))
	for _, cc := range list {
		ids = append(ids, cc.ID)
	}
	return ids, nil
}
