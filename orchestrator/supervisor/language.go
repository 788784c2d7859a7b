package supervisor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
)

// The adapters, which are the ways to speak with a kernel.
const (
	adapterNative = "native" // our own driver, over a channel that it inherits
	adapterBash   = "bash"   // bash itself, which reads commands from the channel
)

// How a kernel is interrupted.
const (
	interruptSignal = "signal" // SIGINT to its process group
	interruptFrame  = "frame"  // a frame to its driver, and SIGINT to the group for what the kernel has started
)

// Language is what an image says of its language, in language.json.
type Language struct {
	Name      string            `json:"name"` // normalised
	Aliases   []string          `json:"aliases"`
	Adapter   string            `json:"adapter"`   // one of the adapters
	Argv      []string          `json:"argv"`      // the kernel's program and arguments
	Env       map[string]string `json:"env"`       // the kernel's environment, beside what every kernel has
	Interrupt string            `json:"interrupt"` // interruptSignal if empty
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
	language.Interrupt = cmp.Or(language.Interrupt, interruptSignal)
	switch {
	case language.Name == "" || len(language.Argv) == 0:
		return language, fmt.Errorf("language of %s lacks a name or argv", path)
	case language.Adapter != adapterNative && language.Adapter != adapterBash:
		return language, fmt.Errorf("language of %s has the unknown adapter %q", path, language.Adapter)
	case language.Interrupt != interruptSignal && language.Interrupt != interruptFrame:
		return language, fmt.Errorf("language of %s has the unknown interrupt %q", path, language.Interrupt)
	}
	return language, nil
}
