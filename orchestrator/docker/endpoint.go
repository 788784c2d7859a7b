package docker

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"
)

// Endpoint is where an engine listens.
type Endpoint struct {
	Host   string // unix:///var/run/docker.sock, tcp://10.0.0.1:2376
	Source string // who named it, for a person: "DOCKER_HOST", "docker context colima", "socket /var/run/docker.sock"
	TLS    *TLS   // nil: none
}

// TLS names the files of mutual TLS. Empty names are left out.
type TLS struct {
	CAFile, CertFile, KeyFile string
	SkipVerify                bool // do not verify the engine's certificate
}

// config reads the files.
func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // no TLS is no configuration
	}
	cfg, err := tlsconfig.Client(tlsconfig.Options{
		CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		InsecureSkipVerify: t.SkipVerify, ExclusiveRootPools: true,
	})
	if err != nil {
		return nil, fmt.Errorf("read the TLS files: %w", err)
	}
	return cfg, nil
}

// newClients returns one client for calls and one for attached streams. The SDK does not let ctx end an attach on
// which the engine falls silent, so the second client's connections close when the context that dialed them ends.
func newClients(ep Endpoint) (calls, streams *client.Client, err error) {
	cfg, err := ep.TLS.config()
	if err != nil {
		return nil, nil, err
	}
	base := []client.Opt{client.WithAPIVersionNegotiation()}
	if cfg != nil {
		base = append(base, client.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}))
	}
	base = append(base, client.WithHost(ep.Host))
	if calls, err = client.NewClientWithOpts(base...); err != nil {
		return nil, nil, err
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialEngine(ctx, network, addr, cfg)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	streams, err = client.NewClientWithOpts(client.WithAPIVersionNegotiation(), client.WithHost(ep.Host), client.WithDialContext(dial))
	if err != nil {
		return nil, nil, err
	}
	return calls, streams, nil
}

// dialEngine connects to an engine. The network is a host's scheme: unix, or one that means TCP.
func dialEngine(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
	switch {
	case network == "unix":
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	case cfg == nil:
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	default:
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", addr)
	}
}
