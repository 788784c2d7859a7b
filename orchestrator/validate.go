package orchestrator

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// LookupLanguage returns the normalised name of a language, given its name or an alias in any case. The error is
// ErrUnknownLanguage and names those that there are.
func LookupLanguage(languages []Language, name string) (string, error) {
	wanted := strings.ToLower(strings.TrimSpace(name))
	known := make([]string, 0, len(languages))
	for _, l := range languages {
		if l.Name == wanted || slices.Contains(l.Aliases, wanted) {
			return l.Name, nil
		}
		known = append(known, l.Name)
	}
	return "", fmt.Errorf("%w %q: known are %s", ErrUnknownLanguage, name, strings.Join(known, ", "))
}

// validateCwd refuses what cannot be a directory's path. Whether it is one is for the container to find out.
func validateCwd(cwd string) error {
	switch {
	case !path.IsAbs(cwd):
		return fmt.Errorf("%w: cwd %q is no absolute path", ErrInvalid, cwd)
	case len(cwd) > 4095 || strings.ContainsRune(cwd, 0) || !utf8.ValidString(cwd):
		return fmt.Errorf("%w: cwd is no path", ErrInvalid)
	}
	return nil
}

// validateEnv refuses names and values that no process can have, and more of them than MaxEnv.
func validateEnv(env map[string]string) error {
	size := 0
	for name, value := range env {
		if size += len(name) + len(value); size > MaxEnv {
			return fmt.Errorf("%w: the environment variables may have %d bytes at most, names and values together", ErrTooLarge, MaxEnv)
		}
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("%w: %q cannot be the name of an environment variable", ErrInvalid, name)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("%w: environment variable %q is no UTF-8", ErrInvalid, name)
		}
		if strings.ContainsRune(value, 0) {
			return fmt.Errorf("%w: the value of environment variable %s holds a NUL byte", ErrInvalid, name)
		}
	}
	return nil
}

// validateExecute checks what does not depend on the context.
func validateExecute(req ExecuteRequest, maxTimeout time.Duration, maxOutput int64) error {
	switch {
	case req.Context != "" && req.Language != "":
		return fmt.Errorf("%w: context and language exclude one another", ErrInvalid)
	case !utf8.ValidString(req.Code):
		return fmt.Errorf("%w: the code is no UTF-8: convert it first", ErrInvalid)
	case len(req.Code) > MaxCode:
		return fmt.Errorf("%w: the code has %d bytes, the most is %d", ErrTooLarge, len(req.Code), MaxCode)
	case req.Timeout < 0 || req.Timeout > maxTimeout:
		return fmt.Errorf("%w: timeout %v is not between 0 and %v, which is the most that this server allows", ErrInvalid, req.Timeout, maxTimeout)
	case req.MaxOutput < 0 || maxOutput > 0 && req.MaxOutput > maxOutput:
		return fmt.Errorf("%w: %d bytes of output are not between 0 and %d, which is the most that this server allows", ErrInvalid, req.MaxOutput, maxOutput)
	}
	return validateEnv(req.Env)
}
