package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cubby/orchestrator"
)

// FindOptions is what the docker CLI takes from its environment. Empty fields are unset variables.
type FindOptions struct {
	Host       string // DOCKER_HOST
	Context    string // DOCKER_CONTEXT
	ConfigDir  string // DOCKER_CONFIG; empty: ~/.docker
	Home       string // the user's home directory
	RuntimeDir string // XDG_RUNTIME_DIR
	CertPath   string // DOCKER_CERT_PATH
	TLSVerify  bool   // DOCKER_TLS_VERIFY is not empty
}

// defaultContext is the CLI's name for no context.
const defaultContext = "default"

// Find finds the engine as the docker CLI does: the host, else the chosen docker context, else the first of the known
// sockets that somebody listens on. Only the sockets are tried; New tells whether the engine at a named host answers.
// The error is ErrEngine, with the remedy.
func Find(ctx context.Context, opts FindOptions) (Endpoint, error) {
	return find(ctx, opts, "/")
}

// find is Find on a system whose root directory is elsewhere.
func find(ctx context.Context, opts FindOptions, root string) (Endpoint, error) {
	opts.ConfigDir = cmp.Or(opts.ConfigDir, filepath.Join(opts.Home, ".docker"))
	if opts.Host != "" {
		return checked(Endpoint{Host: opts.Host, Source: "DOCKER_HOST", TLS: hostTLS(opts)})
	}
	name, err := contextName(opts)
	if err != nil {
		return Endpoint{}, err
	}
	if name != defaultContext {
		ep, err := readContext(opts.ConfigDir, name)
		if err != nil {
			return Endpoint{}, fmt.Errorf("%w: %w", orchestrator.ErrEngine, err)
		}
		return checked(ep)
	}
	return trySockets(ctx, opts, root)
}

// checked refuses hosts that cannot be reached without the docker CLI.
func checked(ep Endpoint) (Endpoint, error) {
	host, err := url.Parse(ep.Host)
	switch {
	case err != nil || host.Scheme == "":
		return Endpoint{}, fmt.Errorf("%w: %s names %q, which is no address such as unix:///var/run/docker.sock",
			orchestrator.ErrEngine, ep.Source, ep.Host)
	case host.Scheme == "ssh":
		return Endpoint{}, fmt.Errorf("%w: %s names %s, and cubby does not speak SSH: forward the socket "+
			"(ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST) and set DOCKER_HOST=unix:///tmp/docker.sock",
			orchestrator.ErrEngine, ep.Source, ep.Host)
	case !slices.Contains([]string{"unix", "tcp", "http", "https"}, host.Scheme):
		return Endpoint{}, fmt.Errorf("%w: %s names %s; cubby reaches engines by unix:// and tcp://",
			orchestrator.ErrEngine, ep.Source, ep.Host)
	}
	return ep, nil
}

// hostTLS returns the TLS of DOCKER_HOST.
func hostTLS(opts FindOptions) *TLS {
	if opts.CertPath == "" && !opts.TLSVerify {
		return nil
	}
	dir := cmp.Or(opts.CertPath, opts.ConfigDir)
	return &TLS{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		SkipVerify: !opts.TLSVerify,
	}
}

// contextName returns the name of the chosen docker context.
func contextName(opts FindOptions) (string, error) {
	if opts.Context != "" {
		return opts.Context, nil
	}
	file := filepath.Join(opts.ConfigDir, "config.json")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultContext, nil
	}
	var config struct {
		CurrentContext string `json:"currentContext"`
	}
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return "", fmt.Errorf("read the docker CLI's configuration %s: %w", file, err)
	}
	return cmp.Or(config.CurrentContext, defaultContext), nil
}

// readContext reads what the docker CLI stores of a context.
func readContext(configDir, name string) (Endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	data, err := os.ReadFile(filepath.Join(configDir, "contexts", "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Endpoint{}, fmt.Errorf("docker context %q does not exist: choose another (docker context ls, docker context use)", name)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err == nil {
		err = json.Unmarshal(data, &meta)
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("read docker context %q: %w", name, err)
	}
	engine := meta.Endpoints["docker"]
	ep := Endpoint{Host: engine.Host, Source: "docker context " + name}
	files := filepath.Join(configDir, "contexts", "tls", id, "docker")
	if present(files) == "" {
		return ep, nil
	}
	ep.TLS = &TLS{
		CAFile: present(files, "ca.pem"), CertFile: present(files, "cert.pem"), KeyFile: present(files, "key.pem"),
		SkipVerify: engine.SkipTLSVerify,
	}
	return ep, nil
}

// present returns the joined path if there is something, else an empty string.
func present(elem ...string) string {
	path := filepath.Join(elem...)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// trySockets returns the first of the known sockets on which somebody listens.
func trySockets(ctx context.Context, opts FindOptions, root string) (Endpoint, error) {
	known := []string{filepath.Join(root, "var/run/docker.sock")}
	if opts.RuntimeDir != "" {
		known = append(known, filepath.Join(opts.RuntimeDir, "docker.sock")) // rootless
	}
	if opts.Home != "" {
		for _, path := range []string{
			".docker/run/docker.sock", ".docker/desktop/docker.sock", ".colima/default/docker.sock", ".colima/docker.sock",
			".orbstack/run/docker.sock", ".rd/docker.sock", ".lima/docker/sock/docker.sock",
		} {
			known = append(known, filepath.Join(opts.Home, path))
		}
	}
	var first error // of a socket that is there
	for _, path := range known {
		err := tryDial(ctx, "unix", path)
		if err == nil {
			return Endpoint{Host: "unix://" + path, Source: "socket " + path}, nil
		}
		if first == nil && !errors.Is(err, fs.ErrNotExist) {
			first = fmt.Errorf("%w: %s", orchestrator.ErrEngine, remedy("unix://"+path, err))
		}
	}
	if first != nil {
		return Endpoint{}, first
	}
	for _, path := range []string{"usr/bin/dockerd", "usr/sbin/dockerd", "usr/local/bin/dockerd", "Applications/Docker.app"} {
		if program := present(root, path); program != "" {
			return Endpoint{}, fmt.Errorf("%w: Docker is installed (%s) but not running: start it (sudo systemctl start docker, "+
				"or Docker Desktop)", orchestrator.ErrEngine, program)
		}
	}
	return Endpoint{}, fmt.Errorf("%w: no Docker engine was found: install one (https://docs.docker.com/engine/install/), "+
		"or name one with DOCKER_HOST", orchestrator.ErrEngine)
}

// tryDial tells why an address cannot be connected to.
func tryDial(ctx context.Context, network, address string) error {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
