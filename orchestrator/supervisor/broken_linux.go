package supervisor

import (
	"context"
	"errors"
)

// broken is the adapter of an image whose language cannot be read: its kernel never boots, and whoever attaches is told
// why.
type broken struct {
	fault  error
	exited chan struct{}
}

var _ Adapter = (*broken)(nil)

func newBroken(fault error) *broken {
	b := &broken{fault: fault, exited: make(chan struct{})}
	close(b.exited)
	return b
}

// errNeverBooted is what asking a broken kernel for anything fails with, though nobody does.
var errNeverBooted = errors.New("the kernel has never booted")

// Boot implements Adapter.
func (b *broken) Boot(context.Context) (string, error) { return "", b.fault }

// Setup implements Adapter.
func (b *broken) Setup(context.Context, string, map[string]string) error { return errNeverBooted }

// Execute implements Adapter.
func (b *broken) Execute(context.Context, Run, Sink) error { return errNeverBooted }

// Ping implements Adapter.
func (b *broken) Ping(context.Context) error { return errNeverBooted }

// Interrupt implements Adapter.
func (b *broken) Interrupt() error { return nil }

// Kill implements Adapter.
func (b *broken) Kill(context.Context) error { return nil }

// Exited implements Adapter.
func (b *broken) Exited() <-chan struct{} { return b.exited }

// Exit implements Adapter.
func (b *broken) Exit() Exit { return Exit{Value: b.fault.Error()} }
