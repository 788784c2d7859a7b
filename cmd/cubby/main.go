// Command cubby runs code in code contexts, each in a container of its own: as a server (serve), against a server
// (ctx), or without one (run). It is the composition root: everything else in this repository is put together here,
// and this package alone reads the environment.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/moby/term"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cubby/images"
)

// The exit codes, in the manner of docker run.
const (
	exitOK     = 0
	exitFailed = 1   // the user's code, or a check of doctor, failed
	exitFault  = 125 // cubby, its server or its command line is at fault
)

// errFailed ends the program with exitFailed. Whoever returns it has told the user why.
var errFailed = errors.New("failed")

// process is what the operating system gives to one run of the program.
type process struct {
	program        string // how it was called
	stdin          io.Reader
	stdout, stderr io.Writer
	stdoutTerminal bool // somebody looks at stdout
	stderrTerminal bool
	env            func(name string) string
	environ        []string // NAME=VALUE of all variables, of which some may be misspelt

	// connect reaches the container engine as an instance; nil: the one that the docker CLI would use.
	connect func(ctx context.Context, instance string, log *slog.Logger) (engine, error)
	// tag names a language's current image; nil: that of the embedded files.
	tag func(language, arch string) (string, error)
	// supervisor returns the digest of the supervisor for an architecture; nil: of the embedded one.
	supervisor func(arch string) (string, error)
	// statePatience is how long a server waits for its state directory, and shutdownGrace how long those wait for it to end
	// whose executions run; 0: the constants of these names.
	statePatience, shutdownGrace time.Duration
}

// app is one run of the program.
type app struct {
	process
	config   Config
	settings *pflag.FlagSet // all fields of config; a command takes those that concern it
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program on the spot
	code := run(ctx, process{
		program: os.Args[0],
		stdin:   os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdoutTerminal: term.IsTerminal(os.Stdout.Fd()), stderrTerminal: term.IsTerminal(os.Stderr.Fd()),
		env: os.Getenv, environ: os.Environ(),
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run carries out one command line and returns the exit code. The first signal ends ctx.
func run(ctx context.Context, p process, args []string) int {
	a := &app{process: p}
	a.settings = a.config.flags(p.env)
	if a.connect == nil {
		a.connect = a.connectDocker
	}
	if a.tag == nil {
		a.tag = images.Tag
	}
	if a.supervisor == nil {
		a.supervisor = images.SupervisorDigest
	}
	a.statePatience, a.shutdownGrace = cmp.Or(a.statePatience, statePatience), cmp.Or(a.shutdownGrace, shutdownGrace)
	root := a.root() //nolint:contextcheck // commands take theirs from cobra
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	if code == exitFault {
		_, _ = fmt.Fprintf(visible(p.stderr, p.stderrTerminal), "cubby: %v\n", err)
	}
	return code
}

// exitCode returns what the program ends with.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	default:
		return exitFault
	}
}

// root returns the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cubby",
		Short: "Code contexts, each in a container of its own",
		Long: `cubby runs code in code contexts: stateful REPLs, each in a container of its own.

Every setting is a flag (--max-contexts), an environment variable (CUBBY_MAX_CONTEXTS) and a key of the configuration
file (max-contexts), in this order of precedence. An empty variable counts as not set.

Exit codes: 0; 1 where the code that was run, or a check, failed; 125 where cubby, its server or the command line did.`,
		Example: `  cubby serve
  cubby ctx create --language python
  cubby run -c 'print(1 + 1)'`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.config.load(a.settings, a.env); err != nil {
				return err
			}
			if names := unknownVariables(a.settings, a.environ); len(names) > 0 {
				a.logger().Warn("no setting has these variables, perhaps misspelt; 'cubby serve --help' lists the settings",
					"variables", strings.Join(names, ", "))
			}
			if cmd.Flags().Lookup("state-dir") != nil && a.config.StateDir == "" {
				return errors.New("state-dir: there is no HOME to put it in; name a directory")
			}
			return nil
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().AddFlag(a.settings.Lookup("config"))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) {
			err = fmt.Errorf("--%s: %w", invalid.GetFlag().Name, valueFault(err))
		}
		return fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())
	})
	return group(root, a.serveCommand(), a.ctxCommand(), a.runCommand(), a.imagesCommand(), a.doctorCommand(),
		a.cleanCommand(), a.versionCommand())
}

// take gives a command the flags of the named settings.
func (a *app) take(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		cmd.Flags().AddFlag(a.settings.Lookup(name))
	}
}

// group makes a command one that only holds others: by itself it prints its help.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q\nSee '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// arguments returns a check of the number of arguments whose error says what the command takes.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("usage: %s\nSee '%s --help'", cmd.UseLine(), cmd.CommandPath())
		}
		return nil
	}
}
