package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cubby/orchestrator"
)

// runOptions are the flags of cubby run.
type runOptions struct {
	source
	language string
	cwd      string
	file     string // that the code comes from, if it is one
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] (-c CODE | FILE | -)",
		Short: "Run code once, in a container of its own, without a server",
		Long: `Run code once, in a container of its own, without a server. Output streams as it comes; results are printed as text.
Nothing stays behind. The first Ctrl-C interrupts the code, a second one leaves at once; the container then ends by itself.

Exit codes: 0, also where the code ends itself with that status; 1 where it failed; 125 where cubby or the container engine did.`,
		Example: `  cubby run -c 'print(1 + 1)'
  cubby run script.js
  echo 'import sys; sys.version' | cubby run -
  cubby run --timeout 10s --network internet -c '!pip install cowsay'`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			code, env, err := o.read(cmd, args, a.stdin)
			if err != nil {
				return err
			}
			o.file = cmp.Or(args...)
			return a.runOnce(cmd.Context(), code, env, o)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVarP(&o.language, "language", "l", "",
		"language of the code, or LANGUAGE=IMAGE (default: by the file's extension, else python)")
	cmd.Flags().StringVar(&o.cwd, "cwd", orchestrator.DefaultCwd, "working directory in the container")
	a.take(cmd, engineSettings...)
	a.take(cmd, containerSettings...)
	a.take(cmd, "log-level")
	return cmd
}

// runOnce runs the code and ends as it did.
func (a *app) runOnce(ctx context.Context, code string, env map[string]string, o runOptions) error {
	engine, err := a.connect(ctx, toolInstance, a.logger())
	if err != nil {
		return err
	}
	defer engine.Close()
	info, err := a.usable(ctx, engine)
	if err != nil {
		return err
	}
	there, err := a.catalog(ctx, engine, info.Architecture)
	if err != nil {
		return err
	}
	language := cmp.Or(o.language, there.languageOf(o.file), orchestrator.DefaultLanguage)
	chosen, err := there.choose([]string{language})
	if err != nil {
		return err
	}
	image, err := a.languageImages(engine, info.Architecture, chosen).Image(ctx, chosen[0].Name)
	if err != nil {
		return err
	}
	c := a.console(o.raw)
	err = orchestrator.RunOnce(ctx, engine, orchestrator.OnceRequest{
		Image: image, Code: code, Cwd: o.cwd, Env: env, Timeout: o.timeout,
		MaxOutput: int64(o.maxOutput),
		Limits:    a.config.Limits(), Network: orchestrator.Network(a.config.Network),
		UIDs: uidsOf(info),
	}, c.show)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return c.outcome()
}
