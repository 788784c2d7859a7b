package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cubby/orchestrator"
)

// source is what a command line says of the code to run: -c CODE, a file, or - for stdin, and how to run it.
type source struct {
	code      string
	env       []string
	timeout   time.Duration
	maxOutput byteSize
	raw       bool
}

// flags adds the flags to a command.
func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.code, "code", "c", "", "the code to run")
	cmd.Flags().StringArrayVarP(&s.env, "env", "e", nil, "environment variable NAME=VALUE of the code, any number of times")
	cmd.Flags().DurationVar(&s.timeout, "timeout", 0, "deadline of the code (default: none)")
	cmd.Flags().Var(&s.maxOutput, "max-output", "end the code when it has written more (default: no bound, unless a server has one)")
	cmd.Flags().BoolVar(&s.raw, "raw", false, "let control characters through to the terminal")
}

// read returns the code and its variables. args holds the file or -, if there is one.
func (s *source) read(cmd *cobra.Command, args []string, stdin io.Reader) (code string, env map[string]string, err error) {
	if s.timeout != 0 && s.timeout < time.Millisecond { // which would travel as 0: none
		return "", nil, fmt.Errorf("timeout: %s is less than a millisecond", s.timeout)
	}
	if env, err = parseEnv(s.env); err != nil {
		return "", nil, err
	}
	given := cmd.Flags().Changed("code") // if only with no code
	switch {
	case given == (len(args) == 1):
		err = fmt.Errorf("name the code either with -c, or as a file, or as - for stdin\nSee '%s --help'", cmd.CommandPath())
	case given:
		code, err = readCode(strings.NewReader(s.code), "-c")
	case args[0] == "-":
		code, err = readCode(stdin, "stdin")
	default:
		code, err = readFileCode(args[0])
	}
	return code, env, err
}

// parseEnv reads NAME=VALUE pairs.
func parseEnv(pairs []string) (map[string]string, error) {
	variables := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("environment variable %q is not NAME=VALUE", pair)
		}
		if !utf8.ValidString(pair) {
			return nil, fmt.Errorf("environment variable %q is no UTF-8", name)
		}
		variables[name] = value
	}
	return variables, nil
}

func readFileCode(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the code: %w", err)
	}
	defer file.Close()
	return readCode(file, path)
}

// readCode reads no more than code may be long.
func readCode(r io.Reader, name string) (string, error) {
	code, err := io.ReadAll(io.LimitReader(r, orchestrator.MaxCode+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the code: %w", err)
	case len(code) > orchestrator.MaxCode:
		return "", fmt.Errorf("%w: %s holds more than %d MiB of code", orchestrator.ErrTooLarge, name, orchestrator.MaxCode>>20)
	case !utf8.Valid(code):
		return "", fmt.Errorf("%w: the code in %s is no UTF-8: convert it first (iconv -t UTF-8 -f …)", orchestrator.ErrInvalid, name)
	}
	return string(code), nil
}
