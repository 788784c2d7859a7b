package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"

	"cubby/orchestrator/supervisor"
)

// errUsage says how the program is called.
var errUsage = errors.New("usage: supervisor init --uid N [--lease 30s] [--language FILE] | supervisor attach")

// The main thread, by whose uid the kernel decides who may signal the process, never acts as the user.
func init() { runtime.LockOSThread() }

// run carries out a command.
func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "init":
		var cfg supervisor.InitConfig
		flags := flag.NewFlagSet("init", flag.ContinueOnError)
		flags.IntVar(&cfg.UID, "uid", 0, "the user's uid and gid")
		flags.DurationVar(&cfg.Lease, "lease", 0, "end after this long without a bridge; 0: never")
		flags.StringVar(&cfg.Language, "language", supervisor.LanguagePath, "what the image says of its language")
		if err := flags.Parse(args[1:]); err != nil {
			return fmt.Errorf("read the flags of init: %w", err)
		}
		return supervisor.Init(context.Background(), cfg)
	case "attach":
		return supervisor.Attach(supervisor.SocketPath)
	default:
		return errUsage
	}
}
