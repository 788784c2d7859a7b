package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// load fills in what no flag has set: from the environment, then from the configuration file. It reports all faults
// of all layers, and of the values, at once.
func (c *Config) load(settings *pflag.FlagSet, env func(string) string) error {
	named := settings.Lookup("config").Changed || env(variable("config")) != ""
	faults := []error{fromEnvironment(settings, env)}
	values, err := readFile(c.File, named)
	faults = append(faults, err, fromFile(settings, c.File, values), c.Validate())
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	return nil
}

// variablePrefix is what the names of settings' variables begin with.
const variablePrefix = "CUBBY_"

// variable returns the name of a setting's environment variable.
func variable(setting string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// fromEnvironment sets what no flag has set. An empty variable counts as none.
func fromEnvironment(settings *pflag.FlagSet, env func(string) string) error {
	var faults []error
	settings.VisitAll(func(f *pflag.Flag) {
		value := env(variable(f.Name))
		if f.Changed || value == "" {
			return
		}
		faults = append(faults, set(settings, f, variable(f.Name), value))
	})
	return errors.Join(faults...)
}

// unknownVariables returns the names of variables that look like those of settings, and are not, of NAME=VALUE.
func unknownVariables(settings *pflag.FlagSet, environ []string) []string {
	known := map[string]bool{}
	settings.VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
	var unknown []string
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, variablePrefix) && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// readFile reads a configuration file. One that nobody named may be missing.
func readFile(path string, named bool) (map[string]yaml.Node, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	var values map[string]yaml.Node
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("read the configuration file %s: %w", path, err)
	}
	if _, ok := values["api-key"]; ok {
		if err := ownersOnly(path); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// fromFile sets what neither a flag nor the environment has set.
func fromFile(settings *pflag.FlagSet, path string, values map[string]yaml.Node) error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		node := values[key]
		f := settings.Lookup(key)
		switch {
		case f == nil || key == "config":
			faults = append(faults, fmt.Errorf("%s:%d: %q is no setting; 'cubby serve --help' lists them", path, node.Line, key))
		case f.Changed:
		default:
			if err := setNode(settings, f, node); err != nil {
				faults = append(faults, fmt.Errorf("%s:%d: %w", path, node.Line, err))
			}
		}
	}
	return errors.Join(faults...)
}

// setNode sets one setting to a scalar, or to a list where the setting is one.
func setNode(settings *pflag.FlagSet, f *pflag.Flag, node yaml.Node) error {
	list, isList := f.Value.(pflag.SliceValue)
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil
	case node.Kind == yaml.ScalarNode:
		return set(settings, f, f.Name, node.Value)
	case node.Kind == yaml.SequenceNode && isList:
		var items []string
		if err := node.Decode(&items); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		return list.Replace(items)
	default:
		return fmt.Errorf("%s: takes a value of type %s", f.Name, f.Value.Type())
	}
}

// ownersOnly refuses a file with secrets that others than its owner can read.
func ownersOnly(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s holds keys and others than its owner may use it; run: chmod 600 %s", path, path)
	}
	return nil
}
