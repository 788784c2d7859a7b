package imagetest

import (
	"context"
	"os"

	"cubby/orchestrator"
	"cubby/orchestrator/docker"
)

// Tag names the image of a language for an engine's architecture. images.Tag is one.
type Tag func(language, architecture string) (string, error)

// FindEngine finds the engine that the docker CLI would use.
func FindEngine(ctx context.Context) (docker.Endpoint, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return docker.Endpoint{}, err
	}
	return docker.Find(ctx, docker.FindOptions{
		Host: os.Getenv("DOCKER_HOST"), Context: os.Getenv("DOCKER_CONTEXT"), ConfigDir: os.Getenv("DOCKER_CONFIG"),
		Home: home, RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
		CertPath: os.Getenv("DOCKER_CERT_PATH"), TLSVerify: os.Getenv("DOCKER_TLS_VERIFY") != "",
	})
}

// NewEngine connects to that engine as an instance.
func NewEngine(ctx context.Context, instance string) (*docker.Engine, error) {
	endpoint, err := FindEngine(ctx)
	if err != nil {
		return nil, err
	}
	return docker.New(ctx, docker.Config{Endpoint: endpoint, Instance: instance})
}

// FindImage finds the image of a language on an engine.
func FindImage(ctx context.Context, engine *docker.Engine, language string, tag Tag) (orchestrator.Image, error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return orchestrator.Image{}, err
	}
	name, err := tag(language, info.Architecture)
	if err != nil {
		return orchestrator.Image{}, err
	}
	return engine.ImageID(ctx, name)
}
