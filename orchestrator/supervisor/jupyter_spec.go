package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// connectionFile stands for the path of the connection file in a kernel's argv.
const connectionFile = "{connection_file}"

// jupyterDirs are where kernelspecs are looked for, as patterns.
var jupyterDirs = []string{
	"/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels", "/opt/*/share/jupyter/kernels",
}

// kernelspec is a kernel.json.
type kernelspec struct {
	Argv          []string          `json:"argv"`
	Env           map[string]string `json:"env"`
	InterruptMode string            `json:"interrupt_mode"` // signal, or message; empty: signal
}

// withSpec returns a language with what its kernelspec says, where it names one. What language.json says comes first.
func withSpec(language Language, dirs []string) (Language, error) {
	if language.Kernelspec == "" {
		return language, nil
	}
	spec, err := findSpec(language.Kernelspec, dirs)
	if err != nil {
		return language, err
	}
	if len(language.Argv) == 0 {
		language.Argv = spec.Argv
	}
	env := map[string]string{}
	for _, more := range []map[string]string{spec.Env, language.Env} {
		for name, value := range more {
			env[name] = value
		}
	}
	language.Env = env
	if language.Interrupt == "" && spec.InterruptMode == interruptMessage {
		language.Interrupt = interruptMessage
	}
	return language, nil
}

// findSpec reads the kernelspec of that name.
func findSpec(name string, dirs []string) (spec kernelspec, err error) {
	for _, pattern := range dirs {
		found, err := filepath.Glob(filepath.Join(pattern, name, "kernel.json"))
		if err != nil || len(found) == 0 {
			continue
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			return spec, fmt.Errorf("read the kernelspec %s: %w", name, err)
		}
		if err := json.Unmarshal(text, &spec); err != nil {
			return spec, fmt.Errorf("read the kernelspec %s: %w", found[0], err)
		}
		return spec, nil
	}
	return spec, fmt.Errorf("find the kernelspec %s: it is in none of %s", name, strings.Join(dirs, ", "))
}

// withConnection returns a kernel's argv for a connection file. A program without a directory is looked for in PATH, which
// is the kernel's.
func withConnection(argv, env []string, path string) ([]string, error) {
	argv = slices.Clone(argv)
	named := false
	for i, word := range argv {
		named = named || strings.Contains(word, connectionFile)
		argv[i] = strings.ReplaceAll(word, connectionFile, path)
	}
	if !named {
		return nil, fmt.Errorf("kernel's argv %q does not name %s", argv, connectionFile)
	}
	if strings.Contains(argv[0], "/") {
		return argv, nil
	}
	for _, variable := range env {
		dirs, isPath := strings.CutPrefix(variable, "PATH=")
		if !isPath {
			continue
		}
		for _, dir := range filepath.SplitList(dirs) {
			program := filepath.Join(dir, argv[0])
			if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				argv[0] = program
				return argv, nil
			}
		}
	}
	return nil, fmt.Errorf("find the kernel's program %s: %w", argv[0], os.ErrNotExist)
}
