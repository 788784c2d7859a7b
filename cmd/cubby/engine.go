package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"cubby/images"
	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// engine is what the commands need of a container engine.
type engine interface {
	orchestrator.Engine
	orchestrator.Workspaces
	Info(ctx context.Context) (docker.Info, error)
	ImageID(ctx context.Context, tag string) (orchestrator.Image, error)
	ListImages(ctx context.Context) ([]docker.BuiltImage, error)
	PullImage(ctx context.Context, ref string, progress io.Writer) error
	ImportImage(ctx context.Context, archive io.Reader, tag string, changes []string) error
	BuildImage(ctx context.Context, spec docker.BuildSpec, progress io.Writer) error
	PruneStages(ctx context.Context, label string, age time.Duration) error
	RemoveInstance(ctx context.Context) (docker.Removed, error)
	RemoveImage(ctx context.Context, ref string) error
	ImageFiles(ctx context.Context, ref, dir string) (map[string][]byte, error)
	RemoveUnusedImages(ctx context.Context, keep string) (int, error)
	RemoveAll(ctx context.Context) (docker.Removed, error)
	Close() error
}

var _ engine = (*docker.Engine)(nil)

// toolInstance names what the commands without a state directory make: the containers of cubby run, which carry leases,
// so that nobody has to find them again.
const toolInstance = "tool"

// uidsOf returns the uids that sandboxes can have: fewer where the engine maps them into a range of the host's.
func uidsOf(info docker.Info) orchestrator.UIDRange {
	for _, option := range info.Security {
		if strings.HasPrefix(option, "name=userns") || strings.HasPrefix(option, "name=rootless") {
			return orchestrator.NarrowUIDs
		}
	}
	return orchestrator.WideUIDs
}

// findEngine finds the engine as the docker CLI does, from the same variables.
func findEngine(ctx context.Context, env func(string) string) (docker.Endpoint, error) {
	return docker.Find(ctx, docker.FindOptions{
		Host: env("DOCKER_HOST"), Context: env("DOCKER_CONTEXT"), ConfigDir: env("DOCKER_CONFIG"),
		Home: env("HOME"), RuntimeDir: env("XDG_RUNTIME_DIR"),
		CertPath: env("DOCKER_CERT_PATH"), TLSVerify: env("DOCKER_TLS_VERIFY") != "",
	})
}

// connectDocker connects to the engine as an instance.
func (a *app) connectDocker(ctx context.Context, instance string, log *slog.Logger) (engine, error) {
	endpoint, err := findEngine(ctx, a.env)
	if err != nil {
		return nil, err
	}
	log.Debug("engine found", "host", endpoint.Host, "by", endpoint.Source)
	return docker.New(ctx, docker.Config{
		Endpoint: endpoint, Instance: instance, Runtime: a.config.Runtime, Strict: a.config.Strict, Logger: log,
	})
}

// usable describes an engine that can start containers as they are configured.
func (a *app) usable(ctx context.Context, e engine) (docker.Info, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return docker.Info{}, err
	}
	if err := lackOfRuntime(info, a.config.Runtime); err != nil {
		return docker.Info{}, fmt.Errorf("runtime: %w; %s", err, runtimeRemedy)
	}
	return info, nil
}

// buildEngine is an engine as package images uses it.
type buildEngine struct{ engine }

var _ images.Engine = buildEngine{}

// Architecture implements images.Engine.
func (b buildEngine) Architecture(ctx context.Context) (string, error) {
	info, err := b.Info(ctx)
	return info.Architecture, err
}

// ImageID implements images.Engine.
func (b buildEngine) ImageID(ctx context.Context, ref string) (string, error) {
	found, err := b.engine.ImageID(ctx, ref)
	if errors.Is(err, orchestrator.ErrImageMissing) {
		return "", nil
	}
	return found.ID, err
}

// BuildImage implements images.Engine.
func (b buildEngine) BuildImage(ctx context.Context, build images.ImageBuild, progress io.Writer) error {
	args := map[string]*string{}
	for name, value := range build.Args {
		args[name] = &value
	}
	return b.engine.BuildImage(ctx, docker.BuildSpec{
		Tag: build.Tag, Context: build.Context, Dockerfile: build.Dockerfile, Args: args, Labels: build.Labels,
	}, progress)
}
