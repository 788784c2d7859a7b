package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cubby/api"
	"cubby/orchestrator"
	"cubby/orchestrator/store"
)

const (
	// shutdownGrace is how long running executions have to end once the server is told to stop.
	shutdownGrace = 10 * time.Second
	// removalGrace bounds the removal of all contexts when the server stops.
	removalGrace = 2 * time.Minute
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: `Serve the API, which E2B's code-interpreter SDKs speak. The server keeps its contexts when it stops: the next one takes
them over, with their variables and what still runs in them. At SIGINT and SIGTERM it takes nothing new, gives what its
clients wait for 10 s to end, leaves the rest to its successor, and exits with 0; with --remove-on-exit all contexts end
at once. A second signal stops it on the spot. A server that is started meanwhile waits for the state directory.

Without keys the server listens on loopback only. A key comes from CUBBY_API_KEY, or as a digest from --keys-file:
  key=$(openssl rand -hex 32); printf %s "$key" | sha256sum >> keys; chmod 600 keys`,
		Example: `  cubby serve
  cubby serve --idle-timeout 30m --memory 512MiB
  cubby serve --languages python=python-slim,bash
  cubby serve --listen 0.0.0.0:49999 --keys-file keys --allowed-hosts cubby.example.org`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context()) },
	}
	a.take(cmd, "listen", "state-dir", "keys-file", "allowed-hosts", "languages", "default-contexts", "max-contexts", "idle-timeout",
		"max-timeout", "max-output-bytes", "workspace-bytes", "remove-on-exit", "hello", "log-level")
	a.take(cmd, engineSettings...)
	a.take(cmd, containerSettings...)
	return cmd
}

// serve puts the server together and runs it until ctx ends:
//
//	listener ──► api ──► manager ──► engine
//	                        └──────► store
//
// The state directory comes first: a server that is just stopping holds it longer than its port.
func (a *app) serve(ctx context.Context) (err error) {
	log := a.logger()
	log.LogAttrs(ctx, slog.LevelInfo, "configuration", a.config.LogAttrs(a.settings)...)
	keys, err := a.config.keys()
	if err != nil {
		return err
	}
	state, err := a.openStore(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	listener, err := listen(ctx, a.config.Listen, len(keys) > 0)
	if err != nil {
		return err
	}
	defer listener.Close() // closed by the HTTP server before, if all went well
	engine, err := a.connect(ctx, state.Instance(), log)
	if err != nil {
		return err
	}
	defer engine.Close()
	manager, err := a.manager(ctx, engine, state, log)
	if err != nil {
		return err
	}
	if err := manager.Adopt(ctx); err != nil {
		return fmt.Errorf("take over the contexts of an earlier server: %w", err)
	}
	server := api.New(api.Config{
		Contexts: manager, Keys: keys, AllowedHosts: a.config.AllowedHosts, Version: programVersion(), Logger: log,
	})
	return a.runServer(ctx, listener, server, manager, log)
}

// manager returns a manager of the configured languages, once it has seen that their images are there.
func (a *app) manager(ctx context.Context, e engine, state *store.Store, log *slog.Logger) (*orchestrator.Manager, error) {
	info, err := a.usable(ctx, e)
	if err != nil {
		return nil, err
	}
	there, err := a.catalog(ctx, e, info.Architecture)
	if err != nil {
		return nil, err
	}
	chosen, err := there.choose(a.config.Languages)
	if err != nil {
		return nil, fmt.Errorf("languages: %w", err)
	}
	languages := languagesOf(chosen)
	defaults, err := a.defaultContexts(there, languages)
	if err != nil {
		return nil, fmt.Errorf("default-contexts: %w", err)
	}
	finder := a.languageImages(e, info.Architecture, chosen)
	if err := checkImages(ctx, finder, chosen, log); err != nil {
		return nil, err
	}
	return orchestrator.New(orchestrator.Config{
		Engine: e, Workspaces: e, Images: finder, Store: state, Languages: languages,
		DefaultContexts: defaults,
		Limits:          a.config.Limits(), Network: orchestrator.Network(a.config.Network), UIDs: uidsOf(info),
		MaxContexts: a.config.MaxContexts, IdleTimeout: a.config.IdleTimeout, MaxTimeout: a.config.MaxTimeout,
		MaxOutput: int64(a.config.MaxOutput), WorkspaceBytes: int64(a.config.Workspace), Logger: log,
	})
}

// noContexts as the only name of default contexts means that there are none.
const noContexts = "none"

// defaultContexts returns the normalised names of the default contexts' languages. Those that nobody has asked for by name
// are left out where they were not chosen.
func (a *app) defaultContexts(there catalog, chosen []orchestrator.Language) ([]string, error) {
	names := a.config.DefaultContexts
	if len(names) == 0 || slices.Equal(names, []string{noContexts}) {
		return nil, nil
	}
	wanted, err := there.choose(names)
	if err != nil {
		return nil, err
	}
	var present, absent []string
	for _, l := range wanted {
		if slices.ContainsFunc(chosen, func(other orchestrator.Language) bool { return other.Name == l.Name }) {
			present = append(present, l.Name)
		} else {
			absent = append(absent, l.Name)
		}
	}
	if len(absent) > 0 && a.settings.Changed("default-contexts") {
		return nil, fmt.Errorf("%s: not among the server's languages: add to languages, or leave out here", strings.Join(absent, ", "))
	}
	return present, nil
}

// runServer serves until ctx ends or a part fails. Then it stops in order: requests, manager, connections.
func (a *app) runServer(ctx context.Context, listener net.Listener, served *api.Server, m *orchestrator.Manager, log *slog.Logger) error {
	server := served.HTTPServer()
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	working, fail := context.WithCancelCause(ctx) // the manager runs on beyond it, until its contexts have been seen to
	defer fail(nil)
	var managing, serving sync.WaitGroup
	managing.Go(func() { _ = m.Run(running) }) // until end
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serve: %w", err))
		}
	})
	address := "http://" + reachable(listener.Addr())
	log.Info("listening", "url", address, "address", listener.Addr().String())
	if a.config.Hello {
		if err := a.hello(ctx, address); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("run the first cell: %w", err))
		}
	}
	<-working.Done()
	var failure error
	if ctx.Err() == nil {
		failure = context.Cause(working)
	} else {
		log.Info("stopping; a second signal stops at once")
	}
	stopped := a.shutdown(context.WithoutCancel(ctx), served, server, m)
	end()
	managing.Wait() // before the last clients are cut off: their leaving must not interrupt what runs on
	closed := server.Close()
	serving.Wait()
	served.Close()
	log.Info("stopped")
	return errors.Join(failure, stopped, closed)
}

// shutdown takes nothing new, which clients are told to bring to the next server, and gives what is under way its grace.
// Executions beyond it go on in their containers; only their clients are cut off. With --remove-on-exit the contexts go,
// and their executions end at once: what takes longer then is being created, and is waited for so that it goes, too.
func (a *app) shutdown(ctx context.Context, served *api.Server, server *http.Server, m *orchestrator.Manager) error {
	ctx, cancel := context.WithTimeout(ctx, removalGrace)
	defer cancel()
	grace := a.shutdownGrace
	if a.config.RemoveOnExit {
		grace = removalGrace
	}
	var draining sync.WaitGroup
	var drained error
	draining.Go(func() {
		waiting, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		served.Drain(waiting)
		if err := server.Shutdown(waiting); !errors.Is(err, context.DeadlineExceeded) {
			drained = err
		}
	})
	if !a.config.RemoveOnExit {
		draining.Wait()
		return drained
	}
	removed := m.RemoveAll(ctx)
	draining.Wait()
	return errors.Join(drained, removed, m.RemoveAll(ctx)) // what was still being created the first time
}

// reachable returns an address under which this machine reaches a listener.
func reachable(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
