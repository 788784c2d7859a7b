package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cubby/api/client"
)

func (a *app) ctxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ctx",
		Aliases: []string{"context"},
		Short:   "Create, list, use and remove contexts of a server",
		Long: `Create, list, use and remove contexts of a server. Where the server is says --url or CUBBY_URL; a key, where it asks
for one, comes from CUBBY_API_KEY.`,
		Example: `  id=$(cubby ctx create)
  cubby ctx exec $id -c 'x = 41'
  cubby ctx exec $id -c 'x + 1'
  cubby ctx rm $id`,
	}
	group(cmd, a.ctxCreate(), a.ctxList(), a.ctxInspect(), a.ctxExec(), a.ctxFollow(), a.ctxRestart(), a.ctxInterrupt(), a.ctxRemove())
	for _, c := range cmd.Commands() {
		a.take(c, "url")
	}
	return cmd
}

// client returns a client of the configured server.
func (a *app) client() *client.Client {
	return &client.Client{URL: a.config.URL, Key: a.config.APIKey}
}

// each does something with every named context and goes on where one fails.
func (a *app) each(ctx context.Context, ids []string, do func(context.Context, *client.Client, string) error) error {
	c := a.client()
	out := visible(a.stdout, a.stdoutTerminal)
	var failed []error
	for _, id := range ids {
		if err := do(ctx, c, id); err != nil {
			failed = append(failed, err)
			continue
		}
		if _, err := fmt.Fprintln(out, id); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return errors.Join(failed...)
}

// printJSON prints a value as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// inCell shows the characters that would end a cell or a row of a table.
var inCell = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`, "\f", `\f`)

// printTable prints rows in columns, the first row being their names. A cell stays one, whatever its text.
func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, text := range row {
			cells[i] = inCell.Replace(text)
		}
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
