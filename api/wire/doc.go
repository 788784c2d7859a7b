// Package wire holds what travels between the API and its clients: the routes, the JSON shapes and their encoding.
// The shapes of /execute and of the contexts are E2B's; what E2B does not have is marked as ours. The package uses
// nothing but the standard library, so that a client can import it alone.
package wire
