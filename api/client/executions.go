package client

import (
	"context"

	"cubby/api/wire"
)

// Start starts an execution that goes on whoever leaves, and returns as soon as it is accepted.
func (c *Client) Start(ctx context.Context, contextID string, req wire.StartExecution) (wire.Execution, error) {
	var started wire.Execution
	err := c.call(ctx, wire.RouteStart, []string{contextID}, req, &started)
	return started, err
}

// Execution returns where an execution stands, and how it ended.
func (c *Client) Execution(ctx context.Context, contextID, executionID string) (wire.Execution, error) {
	var e wire.Execution
	err := c.call(ctx, wire.RouteExecution, []string{contextID, executionID}, nil, &e)
	return e, err
}

// InterruptExecution asks for the end of one execution, running or waiting, and does not wait for it.
func (c *Client) InterruptExecution(ctx context.Context, contextID, executionID string) error {
	return c.call(ctx, wire.RouteInterruptExecution, []string{contextID, executionID}, nil, nil)
}
