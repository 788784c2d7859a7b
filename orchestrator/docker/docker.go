// Package docker is the engine adapter, and the only importer of the Docker SDK. It finds the engine as the docker CLI
// does (find.go), turns a spec into a container with the security profile (convert.go, seccomp.json), and keeps what it
// makes apart from everybody else's by labels: each container and volume carries the instance that made it, and nothing
// else is listed, watched or removed.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cubby/orchestrator"
)

// MinAPI is the oldest API version of an engine that cubby works with: that of Engine 20.10.
const MinAPI = "1.41"

// How long the engine has for a call, for callers that would wait longer: an engine can hang after it has accepted.
const (
	queryLimit  = 15 * time.Second
	startLimit  = 2 * time.Minute
	removeLimit = time.Minute
	// overrun is how long a create or start goes on after its caller has left. The engine carries out what it has been
	// asked for even so, and only who knows the answer can undo it.
	overrun = 30 * time.Second
)

// Config says which engine to use, and as whom.
type Config struct {
	Endpoint Endpoint
	Instance string // who we are: a random name, kept with the state
	Runtime  string // the OCI runtime, such as runsc; empty: the engine's default
	Strict   bool   // a limit that the host drops fails the start; else it is logged
	Logger   *slog.Logger
}

// api is what the adapter uses of the SDK.
type api interface {
	ServerVersion(ctx context.Context) (types.Version, error)
	Info(ctx context.Context) (system.Info, error)
	ClientVersion() string

	ContainerCreate(ctx context.Context, config *container.Config, host *container.HostConfig, net *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error)
	ContainerStart(ctx context.Context, id string, options container.StartOptions) error
	ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	ContainerRemove(ctx context.Context, id string, options container.RemoveOptions) error
	ContainerExecCreate(ctx context.Context, id string, options container.ExecOptions) (container.ExecCreateResponse, error)
	CopyFromContainer(ctx context.Context, id, path string) (io.ReadCloser, container.PathStat, error)
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)

	VolumeCreate(ctx context.Context, options volume.CreateOptions) (volume.Volume, error)
	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)
	VolumeList(ctx context.Context, options volume.ListOptions) (volume.ListResponse, error)
	VolumeRemove(ctx context.Context, name string, force bool) error

	ImageInspect(ctx context.Context, ref string, options ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	ImagePull(ctx context.Context, ref string, options image.PullOptions) (io.ReadCloser, error)
	ImageImport(ctx context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error)
	ImageBuild(ctx context.Context, tar io.Reader, options build.ImageBuildOptions) (build.ImageBuildResponse, error)
	ImageRemove(ctx context.Context, ref string, options image.RemoveOptions) ([]image.DeleteResponse, error)
	ImagesPrune(ctx context.Context, args filters.Args) (image.PruneReport, error)
}

// attacher runs a created exec and hands over its connection.
type attacher interface {
	ContainerExecAttach(ctx context.Context, id string, options container.ExecAttachOptions) (types.HijackedResponse, error)
}

// Engine is a Docker engine, for one instance of cubby. Its methods may be called concurrently.
type Engine struct {
	api      api
	streams  attacher
	close    func() error
	endpoint Endpoint
	instance string
	runtime  string
	strict   bool
	log      *slog.Logger

	mu       sync.Mutex
	approved map[string]bool // digests of images that were found fit to start from
	warned   map[string]bool // warnings of the engine that have been logged
}

var (
	_ orchestrator.Engine     = (*Engine)(nil)
	_ orchestrator.Workspaces = (*Engine)(nil)
	_ api                     = (*client.Client)(nil)
	_ attacher                = (*client.Client)(nil)
)

// New connects to the engine and settles on a version of its API. The error is ErrEngine, with the remedy, when the
// engine cannot be reached or is too old.
func New(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Instance == "" {
		return nil, errors.New("connect to the engine: no instance is named")
	}
	calls, streams, err := newClients(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("connect to the engine at %s: %w", cfg.Endpoint.Host, err)
	}
	e := &Engine{
		api: calls, streams: streams, endpoint: cfg.Endpoint,
		instance: cfg.Instance, runtime: cfg.Runtime, strict: cfg.Strict, log: cfg.Logger,
		close:    func() error { return errors.Join(calls.Close(), streams.Close()) },
		approved: map[string]bool{}, warned: map[string]bool{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.negotiate(ctx, calls, streams); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the engine: %w", err), e.Close())
	}
	return e, nil
}

// Close lets go of idle connections. Streams that are attached are their owners' to close.
func (e *Engine) Close() error { return e.close() }

// negotiate settles on the newest version of the API that both sides speak.
func (e *Engine) negotiate(ctx context.Context, calls, streams *client.Client) error {
	query, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	ping, err := calls.Ping(query)
	if err != nil {
		return e.kind(ctx, err)
	}
	if ping.APIVersion == "" || versions.LessThan(ping.APIVersion, MinAPI) {
		return fmt.Errorf("%w: %s speaks API %q, cubby needs %s (Engine 20.10) or newer: upgrade the engine",
			orchestrator.ErrEngine, e.endpoint.Host, ping.APIVersion, MinAPI)
	}
	calls.NegotiateAPIVersionPing(ping)
	streams.NegotiateAPIVersionPing(types.Ping{APIVersion: calls.ClientVersion()})
	if _, err := calls.ServerVersion(query); err != nil { // an engine that is too new answers a ping all the same
		return fmt.Errorf("speak API %s with an engine whose newest is %s: %w", calls.ClientVersion(), ping.APIVersion, e.kind(ctx, err))
	}
	return nil
}
