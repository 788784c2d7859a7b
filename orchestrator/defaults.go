package orchestrator

import "context"

// defaultContext returns a language's default context, creating it when there is none.
func (m *Manager) defaultContext(ctx context.Context, name string) (*session, error) {
	language, err := m.language(name)
	if err != nil {
		return nil, err
	}
	select {
	case m.defaults[language] <- struct{}{}:
		defer func() { <-m.defaults[language] }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := m.existingDefault(language); s != nil {
		return s, nil
	}
	return m.create(ctx, CreateRequest{Language: language}, true)
}

// makeDefaults lists the default contexts of DefaultContexts that an earlier server has not left, and makes them in the
// background.
func (m *Manager) makeDefaults() {
	for _, language := range m.DefaultContexts {
		if m.existingDefault(language) != nil {
			continue
		}
		s, err := m.draft(CreateRequest{Language: language}, true)
		if err != nil {
			m.log.Warn("default context not made", "language", language, "error", err)
			continue
		}
		m.inBackground(func(ctx context.Context) {
			if err := m.establish(ctx, s, ctx.Done()); err != nil && ctx.Err() == nil {
				m.log.Warn("default context not made; its first use tries again", "language", language, "error", err)
			}
		})
	}
}

// existingDefault returns the default context of a language, by its normalised name, or nil.
func (m *Manager) existingDefault(language string) *session {
	for _, s := range m.all() {
		s.mu.Lock()
		found := s.record.Default && s.record.Language == language && !s.removed
		s.mu.Unlock()
		if found {
			return s
		}
	}
	return nil
}
