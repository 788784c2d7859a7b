package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
)

// Language is what an image says of its language, in language.json.
type Language struct {
	Name    string            `json:"name"` // normalised
	Aliases []string          `json:"aliases"`
	Adapter string            `json:"adapter"` // "native"
	Argv    []string          `json:"argv"`    // the kernel's program and arguments
	Env     map[string]string `json:"env"`     // the kernel's environment, beside what every kernel has
	Cwd     string            `json:"cwd"`     // "live": a setup can change it after the boot
}

// LoadLanguage reads a language.json.
func LoadLanguage(path string) (Language, error) {
	var language Language
	text, err := os.ReadFile(path)
	if err != nil {
		return language, fmt.Errorf("read the image's language: %w", err)
	}
	if err := json.Unmarshal(text, &language); err != nil {
		return language, fmt.Errorf("read the image's language from %s: %w", path, err)
	}
	switch {
	case language.Name == "" || len(language.Argv) == 0:
		return language, fmt.Errorf("language of %s lacks a name or argv", path)
	case language.Adapter != "native":
		return language, fmt.Errorf("language of %s has the unknown adapter %q", path, language.Adapter)
	case language.Cwd != "live":
		return language, fmt.Errorf("language of %s has the unknown cwd %q", path, language.Cwd)
	}
	return language, nil
}
