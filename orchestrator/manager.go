package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"cubby/orchestrator/store"
)

// Config is what a Manager is made of. Engine, Workspaces, Images, Store and Languages are required.
type Config struct {
	Engine     Engine
	Workspaces Workspaces
	Images     Images
	Store      *store.Store
	Languages  []Language
	// DefaultContexts are the languages, by their normalised names, whose default contexts are listed from the start and
	// made behind the start's back; those of others are made when they are needed.
	DefaultContexts []string

	Limits      Limits        // of every context; zero fields mean DefaultLimits
	Network     Network       // of every context; empty: NetworkNone
	UIDs        UIDRange      // that sandboxes take theirs from; zero: WideUIDs
	MaxContexts int           // 0: DefaultMaxContexts
	IdleTimeout time.Duration // contexts that nobody used for so long are removed; 0: never
	MaxTimeout  time.Duration // the longest deadline an execution may ask for; 0: DefaultMaxTimeout
	MaxOutput   int64         // bytes of output and results, after which an execution ends as output_limit; 0: no bound
	// WorkspaceBytes is the size of a workspace beyond which what runs in it ends as disk_full; 0: no bound.
	WorkspaceBytes int64
	Logger         *slog.Logger // nil: slog.Default
}

// Defaults of a Manager.
const (
	DefaultMaxContexts = 64
	DefaultMaxTimeout  = time.Hour
)

const (
	// parallelStarts is how many containers are brought up at once; the engine serialises much of a start anyway.
	parallelStarts = 4
	// bringUpTimeout bounds one container's way from nothing to a booted kernel.
	bringUpTimeout = 2 * time.Minute
	// cleanUpTimeout bounds a clean-up that outlives the request it belongs to. An engine may take 12 s for a kill.
	cleanUpTimeout = time.Minute
)

// Manager owns the code contexts of one engine. Its methods may be called concurrently.
//
// New, then Adopt once, then the other methods while Run is under way. After Run has returned a Manager is not used
// again; its containers run on, for the next one to adopt.
type Manager struct {
	Config
	log    *slog.Logger
	starts chan struct{} // a place for each container being brought up

	// background carries what outlives a request: connections, recreations, removals. Run ends it and waits.
	background context.Context //nolint:containedctx // it is the manager's own life, not a request's
	end        context.CancelFunc
	tasks      sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*session
	creating int                      // contexts that hold a place but are not listed yet
	defaults map[string]chan struct{} // a lock a language: who looks up or creates its default context
	sandbox  store.Sandbox            // the default sandbox
	closed   bool
}

// New returns a Manager that has touched nothing yet.
func New(cfg Config) (*Manager, error) {
	if cfg.Engine == nil || cfg.Workspaces == nil || cfg.Images == nil || cfg.Store == nil || len(cfg.Languages) == 0 {
		return nil, errors.New("engine, workspaces, images, store and languages are required")
	}
	d := DefaultLimits()
	cfg.Limits = Limits{
		MemoryBytes: cmp.Or(cfg.Limits.MemoryBytes, d.MemoryBytes), CPUs: cmp.Or(cfg.Limits.CPUs, d.CPUs),
		PIDs: cmp.Or(cfg.Limits.PIDs, d.PIDs), FileBytes: cmp.Or(cfg.Limits.FileBytes, d.FileBytes),
	}
	cfg.Network = cmp.Or(cfg.Network, NetworkNone)
	cfg.UIDs = cmp.Or(cfg.UIDs, WideUIDs)
	cfg.MaxContexts = cmp.Or(cfg.MaxContexts, DefaultMaxContexts)
	cfg.MaxTimeout = cmp.Or(cfg.MaxTimeout, DefaultMaxTimeout)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	m := &Manager{
		Config: cfg, log: cfg.Logger, starts: make(chan struct{}, parallelStarts),
		sessions: map[string]*session{}, defaults: map[string]chan struct{}{},
	}
	for _, l := range cfg.Languages {
		m.defaults[l.Name] = make(chan struct{}, 1)
	}
	m.background, m.end = context.WithCancel(context.Background()) //nolint:forbidigo // see the field
	return m, nil
}

// Get returns a context. The error is ErrNotFound.
func (m *Manager) Get(_ context.Context, id string) (CodeContext, error) {
	s, err := m.session(id)
	if err != nil {
		return CodeContext{}, err
	}
	return s.describe(), nil
}

// List returns all contexts in the order of their creation.
func (m *Manager) List(context.Context) ([]CodeContext, error) {
	sessions := m.all()
	list := make([]CodeContext, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, s.describe())
	}
	slices.SortFunc(list, func(a, b CodeContext) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// session returns the session of a context.
func (m *Manager) session(id string) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.sessions[id]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("context %s %w", id, ErrNotFound)
}

func (m *Manager) all() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*session, 0, len(m.sessions))
	for _, s := range m.sessions {
		list = append(list, s)
	}
	return list
}

// inBackground runs f on the manager's own time. After Run has ended it does nothing.
func (m *Manager) inBackground(f func(ctx context.Context)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.tasks.Go(func() { f(m.background) })
	}
}

// language returns the name of a language by its name or an alias; empty means the default.
func (m *Manager) language(name string) (string, error) {
	normal, err := LookupLanguage(m.Languages, cmp.Or(name, DefaultLanguage))
	if err != nil {
		return "", fmt.Errorf("%w; one that was added needs a server with it (--languages)", err)
	}
	return normal, nil
}
