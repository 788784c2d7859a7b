package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	units "github.com/docker/go-units"
	"github.com/spf13/pflag"

	"cubby/orchestrator"
)

// Config is everything that can be set. A field's flag gives it its variable and its key in the configuration file:
// --max-contexts, CUBBY_MAX_CONTEXTS, max-contexts. The defaults are in flags.
type Config struct {
	// File is the configuration file. A missing one is a fault only where somebody named it.
	File string
	// LogLevel is the least level that is logged: debug, info, warn or error.
	LogLevel slog.Level

	// Runtime is the engine's runtime for contexts, for instance runsc; empty: the engine's default.
	Runtime string
	// Strict refuses to create a container whose limits the host does not enforce.
	Strict bool

	// Listen is the address that the server listens on. Other than loopback needs keys.
	Listen string
	// StateDir holds the server's store and the random id by which it knows its containers. One server uses it at a time.
	StateDir string
	// KeysFile lists the SHA-256 digests of the keys that the server takes, one a line, in hexadecimal.
	KeysFile string
	// APIKey is the key that the server takes and that the client sends. There is no flag, since command lines are public.
	APIKey string
	// AllowedHosts are the names beyond loopback's under which clients may address the server.
	AllowedHosts []string
	// Languages are those that contexts can have, each as LANGUAGE or LANGUAGE=IMAGE; none: all that cubby brings along.
	Languages []string
	// DefaultContexts are the languages whose default contexts are there from the start; none: those of no language.
	// Languages that the server does not have are passed over.
	DefaultContexts []string
	// MaxContexts is how many contexts the server keeps.
	MaxContexts int
	// IdleTimeout is how long a context stays unused before it is removed; 0: for ever.
	IdleTimeout time.Duration
	// MaxTimeout is the longest deadline that an execution can ask for.
	MaxTimeout time.Duration
	// MaxOutput bounds what an execution can write, in bytes of output and results; 0: nothing does.
	MaxOutput byteSize
	// Workspace is the size of the contexts' files, in bytes, beyond which their code ends as disk_full; 0: it may be any.
	Workspace byteSize
	// RemoveOnExit removes the server's contexts when it stops; otherwise the next server takes them over.
	RemoveOnExit bool
	// Hello makes the server run one cell in a context of its own as soon as it listens, and tell how to go on.
	Hello bool

	// Memory bounds a container's memory and swap together, in bytes.
	Memory byteSize
	// CPUs bounds a container's CPU time per time.
	CPUs float64
	// PIDs bounds a container's processes and threads.
	PIDs int64
	// FileSize bounds the largest file that a container can write, in bytes.
	FileSize byteSize
	// Network is what a container reaches: none or internet.
	Network string

	// URL is where the client finds the server.
	URL string
}

// The groups of settings that more than one command takes.
var (
	engineSettings    = []string{"runtime", "strict"}
	containerSettings = []string{"memory", "cpus", "pids", "file-size", "network"}
)

// flags binds every field to a flag and gives it its default.
func (c *Config) flags(env func(string) string) *pflag.FlagSet {
	limits := orchestrator.DefaultLimits()
	c.Memory, c.FileSize, c.Workspace = byteSize(limits.MemoryBytes), byteSize(limits.FileBytes), 10*units.GiB
	f := pflag.NewFlagSet("cubby", pflag.ContinueOnError)
	f.StringVar(&c.File, "config", userDir(env, "XDG_CONFIG_HOME", ".config", "config.yaml"), "configuration file (YAML)")
	f.TextVar(&c.LogLevel, "log-level", slog.LevelInfo, "least level to log: debug, info, warn, error")

	f.StringVar(&c.Runtime, "runtime", "", "runtime of the containers, such as runsc (default: the engine's)")
	f.BoolVar(&c.Strict, "strict", false, "refuse containers whose limits the host does not enforce")

	f.StringVar(&c.Listen, "listen", "127.0.0.1:49999", "address to listen on; other than loopback needs keys")
	f.StringVar(&c.StateDir, "state-dir", userDir(env, "XDG_STATE_HOME", ".local/state", ""), "directory of the server's state")
	f.StringVar(&c.KeysFile, "keys-file", "", "file with the SHA-256 digest of a key a line, in hexadecimal")
	f.StringVar(&c.APIKey, "api-key", "", "key that the server takes and the client sends")
	f.StringSliceVar(&c.AllowedHosts, "allowed-hosts", nil, "names beyond loopback's under which clients may address the server")
	f.StringSliceVar(&c.Languages, "languages", nil, "languages that contexts can have, as LANGUAGE or LANGUAGE=IMAGE (default: all of cubby's own)")
	f.StringSliceVar(&c.DefaultContexts, "default-contexts", []string{"python", "javascript"},
		"languages whose default contexts are there from the start, or none")
	f.IntVar(&c.MaxContexts, "max-contexts", orchestrator.DefaultMaxContexts, "how many contexts the server keeps")
	f.DurationVar(&c.IdleTimeout, "idle-timeout", 0, "remove a context that was not used for so long (default: never)")
	f.DurationVar(&c.MaxTimeout, "max-timeout", orchestrator.DefaultMaxTimeout, "longest deadline that an execution can ask for")
	f.Var(&c.MaxOutput, "max-output-bytes", "end an execution whose output and results together exceed this (default: no bound)")
	f.Var(&c.Workspace, "workspace-bytes", "end the code of contexts whose files together exceed this; 0: never")
	f.BoolVar(&c.RemoveOnExit, "remove-on-exit", false, "remove all contexts when the server stops")
	f.BoolVar(&c.Hello, "hello", false, "run one cell as soon as the server listens, and tell how to go on")

	f.Var(&c.Memory, "memory", "memory and swap of a container")
	f.Float64Var(&c.CPUs, "cpus", limits.CPUs, "CPUs of a container")
	f.Int64Var(&c.PIDs, "pids", limits.PIDs, "processes and threads of a container")
	f.Var(&c.FileSize, "file-size", "largest file that a container can write")
	f.StringVar(&c.Network, "network", string(orchestrator.NetworkNone), "what containers reach: none or internet")

	f.StringVar(&c.URL, "url", "http://127.0.0.1:49999", "where the server is")
	return f
}

// Validate reports all faults of the values at once.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	_, _, err := net.SplitHostPort(c.Listen)
	check(err == nil, "listen: %q is no host:port", c.Listen)
	server, err := url.Parse(c.URL)
	check(err == nil && (server.Scheme == "http" || server.Scheme == "https") && server.Host != "",
		"url: %q is no http:// or https:// address", c.URL)
	check(c.MaxContexts > 0, "max-contexts: %d is not above 0", c.MaxContexts)
	check(c.IdleTimeout >= 0, "idle-timeout: %s is below 0", c.IdleTimeout)
	check(c.MaxTimeout > 0, "max-timeout: %s is not above 0", c.MaxTimeout)
	check(c.Memory >= 64*units.MiB, "memory: %s is less than 64MiB, in which no kernel starts", c.Memory)
	check(c.CPUs >= 0.01, "cpus: %v is less than 0.01", c.CPUs)
	check(c.PIDs >= 32, "pids: %d is less than 32, which the supervisor needs for itself", c.PIDs)
	check(c.FileSize > 0, "file-size: %s is not above 0", c.FileSize)
	check(c.Network == string(orchestrator.NetworkNone) || c.Network == string(orchestrator.NetworkInternet),
		"network: %q is neither none nor internet", c.Network)
	check(c.APIKey == "" || len(c.APIKey) >= minKey,
		"api-key: %d characters can be guessed; take at least %d, as from: openssl rand -hex 32", len(c.APIKey), minKey)
	check(!c.Hello || c.KeysFile == "" || c.APIKey != "",
		"hello: a keys file holds digests only; put a key of it in CUBBY_API_KEY")
	return errors.Join(faults...)
}

// Limits returns what bounds a container.
func (c *Config) Limits() orchestrator.Limits {
	return orchestrator.Limits{
		MemoryBytes: int64(c.Memory), CPUs: c.CPUs, PIDs: c.PIDs, FileBytes: int64(c.FileSize),
	}
}

// minKey is the length of the shortest key that is taken.
const minKey = 16

// LogAttrs returns the effective configuration without its secrets.
func (c *Config) LogAttrs(settings *pflag.FlagSet) []slog.Attr {
	var attrs []slog.Attr
	settings.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		switch {
		case f.Name == "url": // the client's
			return
		case f.Name == "api-key" && value != "":
			value = "set"
		}
		attrs = append(attrs, slog.String(f.Name, value))
	})
	return attrs
}

// userDir returns a path in one of the user's directories of the XDG specification, or nothing for one without a home.
func userDir(env func(string) string, variable, below, file string) string {
	dir := env(variable)
	if dir == "" || !filepath.IsAbs(dir) {
		home := env("HOME")
		if home == "" {
			return ""
		}
		dir = filepath.Join(home, below)
	}
	return filepath.Join(dir, "cubby", file)
}

// byteSize is a number of bytes that is written 512MiB, 512m or 1g.
type byteSize int64

// Set implements pflag.Value.
func (b *byteSize) Set(text string) error {
	n, err := units.RAMInBytes(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("%q is no size such as 512MiB or 1GiB", text)
	}
	*b = byteSize(n)
	return nil
}

// String implements pflag.Value.
func (b byteSize) String() string {
	if b == 0 {
		return "0"
	}
	return units.BytesSize(float64(b))
}

// Type implements pflag.Value.
func (byteSize) Type() string { return "size" }
