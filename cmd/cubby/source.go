package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cubby/orchestrator"
)

// source is the code of a command line: -c CODE, a file, or - for stdin.
type source struct{ code string }

// flag adds -c to a command.
func (s *source) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.code, "code", "c", "", "the code to run")
}

// read returns the code. args holds the file or -, if there is one.
func (s *source) read(cmd *cobra.Command, args []string, stdin io.Reader) (string, error) {
	given := cmd.Flags().Changed("code") // if only with no code
	switch {
	case given == (len(args) == 1):
		return "", fmt.Errorf("name the code either with -c, or as a file, or as - for stdin\nSee '%s --help'", cmd.CommandPath())
	case given:
		return s.code, nil
	case args[0] == "-":
		return readCode(stdin, "stdin")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return "", fmt.Errorf("read the code: %w", err)
	}
	defer file.Close()
	return readCode(file, args[0])
}

// readCode reads no more than code may be long.
func readCode(r io.Reader, name string) (string, error) {
	code, err := io.ReadAll(io.LimitReader(r, orchestrator.MaxCode+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the code: %w", err)
	case len(code) > orchestrator.MaxCode:
		return "", fmt.Errorf("%w: %s holds more than %d MiB of code", orchestrator.ErrTooLarge, name, orchestrator.MaxCode>>20)
	}
	return string(code), nil
}
