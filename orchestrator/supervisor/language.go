package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// The adapters, which are the ways to speak with a kernel.
const (
	adapterNative  = "native"  // our own driver, over a channel that it inherits
	adapterBash    = "bash"    // bash itself, which reads commands from the channel
	adapterJupyter = "jupyter" // a Jupyter kernel, over ZeroMQ
)

// How a kernel is interrupted.
const (
	interruptSignal  = "signal"  // SIGINT to its process group
	interruptFrame   = "frame"   // a frame to its driver, and SIGINT to the group for what the kernel has started
	interruptMessage = "message" // an interrupt_request to a Jupyter kernel
)

// outputMessages says that a Jupyter kernel tells by messages of all that its process writes to its standard output and
// standard error, which would else come twice.
const outputMessages = "messages"

// codePlaceholder stands in an image's code for what it is told: the base64 of a JSON object.
const codePlaceholder = "{values}"

// Language is what an image says of its language, in language.json.
type Language struct {
	Name      string            `json:"name"` // normalised
	Aliases   []string          `json:"aliases"`
	Adapter   string            `json:"adapter"`   // one of the adapters
	Argv      []string          `json:"argv"`      // the kernel's program and arguments
	Env       map[string]string `json:"env"`       // the kernel's environment, beside what every kernel has
	Interrupt string            `json:"interrupt"` // interruptSignal if empty

	// Of the native adapter only.
	Fatal string `json:"fatal"` // what comes before the reason where the interpreter tells why it aborts

	// Of the Jupyter adapter only.
	Kernelspec string       `json:"kernelspec"` // the name of one that the image holds and that gives what is not said here
	Output     string       `json:"output"`     // outputMessages, or empty
	Code       LanguageCode `json:"code"`       // zero: there is no way to tell it
}

// LanguageCode is code in a language by which its kernel is told the working directory and environment. Each holds
// codePlaceholder.
type LanguageCode struct {
	Setup string `json:"setup"` // changes to the working directory and sets the environment, or raises an error
	Enter string `json:"enter"` // sets the environment of one execution
	Leave string `json:"leave"` // restores it; may be run twice
}

// LoadLanguage reads a language.json.
func LoadLanguage(path string) (Language, error) {
	var language Language
	text, err := os.ReadFile(path)
	if err != nil {
		return language, fmt.Errorf("read the image's language: %w", err)
	}
	file := struct {
		*Language
		Extensions, Packages, Driver json.RawMessage // read by package images
	}{Language: &language}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // one that is misspelt would be missed silently
	err = decoder.Decode(&file)
	if _, rest := decoder.Token(); err == nil && !errors.Is(rest, io.EOF) {
		err = errors.New("something follows the object")
	}
	if err != nil {
		return language, fmt.Errorf("read the image's language from %s: %w", path, err)
	}
	if err := language.check(); err != nil {
		return language, fmt.Errorf("language of %s %w", path, err)
	}
	return language, nil
}

// untellable reports whether the kernel cannot be told a working directory and variables.
func (l *Language) untellable() bool { return l.Adapter == adapterJupyter && l.Code == LanguageCode{} }

// check says what is wrong with a language.
func (l *Language) check() error {
	interrupts := []string{"", interruptSignal, interruptFrame}
	switch {
	case l.Name == "" || len(l.Argv) == 0 && (l.Adapter != adapterJupyter || l.Kernelspec == ""):
		return errors.New("lacks a name or argv")
	case l.Adapter == adapterJupyter:
		interrupts = []string{"", interruptSignal, interruptMessage}
		if l.untellable() {
			break
		}
		for _, code := range []string{l.Code.Setup, l.Code.Enter, l.Code.Leave} {
			if !strings.Contains(code, codePlaceholder) {
				return fmt.Errorf("lacks code with %s to set up, enter or leave", codePlaceholder)
			}
		}
	case l.Adapter == adapterBash:
		interrupts = []string{"", interruptSignal}
	case l.Adapter != adapterNative:
		return fmt.Errorf("has the unknown adapter %q", l.Adapter)
	}
	if field := l.unread(); field != "" {
		return fmt.Errorf("has %s, which the adapter %s does not read", field, l.Adapter)
	}
	if l.Output != "" && l.Output != outputMessages {
		return fmt.Errorf("has the unknown output %q", l.Output)
	}
	if !slices.Contains(interrupts, l.Interrupt) {
		return fmt.Errorf("has the unknown interrupt %q", l.Interrupt)
	}
	return nil
}

// unread names a field that is set though the language's adapter does not read it; none if it is empty.
func (l *Language) unread() string {
	switch {
	case l.Fatal != "" && l.Adapter != adapterNative:
		return "fatal"
	case l.Adapter == adapterJupyter:
		return ""
	case l.Kernelspec != "":
		return "kernelspec"
	case l.Output != "":
		return "output"
	case l.Code != LanguageCode{}:
		return "code"
	default:
		return ""
	}
}
