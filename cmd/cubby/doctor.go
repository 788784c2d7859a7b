package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// check is one thing that doctor looked at.
type check struct {
	Name   string `json:"name"`
	Status status `json:"status"`
	Text   string `json:"text"`             // what was found
	Remedy string `json:"remedy,omitempty"` // what to do, where something is to be done
}

// status is how a check went.
type status string

// The statuses of a check. A warning does not keep cubby from working.
const (
	statusOK   status = "ok"
	statusWarn status = "warn"
	statusFail status = "fail"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what cubby needs, and say what to do about what is missing",
		Long: `Check what cubby needs, and say what to do about what is missing. Nothing is changed.

Exit codes: 0; 1 where a check failed.`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := a.examine(cmd.Context())
			out := visible(a.stdout, a.stdoutTerminal)
			if asJSON {
				if err := printJSON(out, checks); err != nil {
					return err
				}
			} else if err := printChecks(out, checks); err != nil {
				return err
			}
			return verdict(checks)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	a.take(cmd, engineSettings...)
	a.take(cmd, "state-dir", "languages")
	return cmd
}

// verdict fails where a check has.
func verdict(checks []check) error {
	for _, c := range checks {
		if c.Status == statusFail {
			return errFailed
		}
	}
	return nil
}

// examine makes all checks, as far as there is an engine to look at.
func (a *app) examine(ctx context.Context) []check {
	checks := []check{checkCA(), checkState(a.config.StateDir), checkDisk("state disk", a.config.StateDir)}
	e, err := a.connect(ctx, toolInstance, a.logger())
	if err != nil {
		return append(checks, check{"engine", statusFail, err.Error(), "see above; then run cubby doctor again"})
	}
	defer e.Close()
	info, err := e.Info(ctx)
	if err != nil {
		return append(checks, check{"engine", statusFail, err.Error(), "look at the engine's log"})
	}
	checks = append(checks, checkEngine(info)...)
	checks = append(checks, checkLimits(info, a.config.Strict), checkRuntime(info, a.config.Runtime))
	if isHere(info) {
		checks = append(checks, checkDisk("engine disk", info.RootDir))
	}
	return append(checks, a.checkLanguages(ctx, e, info.Architecture)...)
}

// printChecks prints a line a check, and its remedy on the next.
func printChecks(w io.Writer, checks []check) error {
	for _, c := range checks {
		if _, err := fmt.Fprintf(w, "%-5s %-12s %s\n", c.Status, c.Name, c.Text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		if c.Remedy == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%18s → %s\n", "", c.Remedy); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}
