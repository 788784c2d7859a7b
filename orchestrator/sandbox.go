package orchestrator

import (
	"context"
	"fmt"
	"time"

	"cubby/orchestrator/store"
)

// openSandbox makes sure of the default sandbox: its record, and its workspace. Where the store was lost, containers
// that still run tell which uid and workspace it had.
func (m *Manager) openSandbox(ctx context.Context, containers []Container) error {
	sandboxes, err := m.Store.Sandboxes()
	if err != nil {
		return err
	}
	sandbox := store.Sandbox{
		Name: DefaultSandbox, UID: m.UIDs.pick(), CreatedAt: time.Now().UTC(),
		Workspace: fmt.Sprintf("cubby-%.6s-%s", m.Store.Instance(), DefaultSandbox),
	}
	for _, c := range containers {
		if c.Workspace == sandbox.Workspace {
			sandbox.UID = c.UID
		}
	}
	for _, known := range sandboxes {
		if known.Name == DefaultSandbox {
			sandbox = known
		}
	}
	if err := m.Store.PutSandbox(sandbox); err != nil {
		return err
	}
	if err := m.Workspaces.CreateWorkspace(ctx, sandbox.Workspace); err != nil {
		return fmt.Errorf("create workspace %s: %w", sandbox.Workspace, err)
	}
	m.mu.Lock()
	m.sandbox = sandbox
	m.mu.Unlock()
	return nil
}
