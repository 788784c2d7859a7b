// Package client speaks to a cubby server. It needs nothing but the standard library and the wire shapes.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"cubby/api/wire"
)

// DefaultURL is where a server listens unless it was told otherwise.
const DefaultURL = "http://127.0.0.1:49999"

const (
	maxBody  = 8 << 20  // of an answer that is no stream
	maxError = 64 << 10 // of an error
)

// Client is a connection to a server. Its zero value is usable. The fields are set before the first call and not
// changed after it; the methods may be called concurrently. They return at the end of their ctx and, but for Events, have
// no timeout of their own. Errors of the server are *Error and carry a kind of this package.
type Client struct {
	URL       string            // DefaultURL if empty
	Key       string            // sent with every request, if not empty
	Transport http.RoundTripper // http.DefaultTransport if nil
	Patience  time.Duration     // how long Events tries to come back to a server that has gone; DefaultPatience if 0
}

// Health returns nil if a server answers at the URL.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, wire.RouteHealth, nil, nil, new(string))
}

// Create creates a context and returns when it is ready.
func (c *Client) Create(ctx context.Context, req wire.CreateContext) (wire.Context, error) {
	var created wire.Context
	err := c.call(ctx, wire.RouteCreate, nil, req, &created)
	return created, err
}

// List returns the contexts in the order of their creation.
func (c *Client) List(ctx context.Context) ([]wire.ListedContext, error) {
	var listed []wire.ListedContext
	err := c.call(ctx, wire.RouteList, nil, nil, &listed)
	return listed, err
}

// Get returns all that there is to know of a context.
func (c *Client) Get(ctx context.Context, id string) (wire.ContextDetail, error) {
	var detail wire.ContextDetail
	err := c.call(ctx, wire.RouteGet, []string{id}, nil, &detail)
	return detail, err
}

// Restart gives a context a fresh kernel.
func (c *Client) Restart(ctx context.Context, id string) error {
	return c.call(ctx, wire.RouteRestart, []string{id}, nil, nil)
}

// Remove removes a context.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.call(ctx, wire.RouteRemove, []string{id}, nil, nil)
}

// Interrupt asks for the end of all that runs or waits in a context, and does not wait for it.
func (c *Client) Interrupt(ctx context.Context, id string) error {
	return c.call(ctx, wire.RouteInterrupt, []string{id}, nil, nil)
}

// call sends a request and reads its answer, which is JSON, into answer unless that is nil. The ids are those that the
// route asks for.
func (c *Client) call(ctx context.Context, route wire.Route, ids []string, body, answer any) error {
	res, err := c.send(ctx, route, ids, "", body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", route.Method, route.Path, err)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("%s is no cubby server: its answer to %s %s: %w", c.base(), route.Method, route.Path, err)
	}
	return nil
}

// send sends a request and returns the answer if it is a success. The caller closes its body.
func (c *Client) send(ctx context.Context, route wire.Route, ids []string, query string, body any) (*http.Response, error) {
	if slices.Contains(ids, "") {
		return nil, errors.New("the id of the context or of the execution is empty")
	}
	req, err := c.request(ctx, route, ids, body)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query
	client := http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a key goes to the server that it is for
	}}
	res, err := client.Do(req)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, fmt.Errorf("%s %s: %w", route.Method, route.Path, ctx.Err())
	case errors.Is(err, syscall.ECONNREFUSED) && isLoopback(req.URL.Hostname()):
		return nil, fmt.Errorf("%w: nothing listens at %s; start it with `cubby serve`", ErrUnreachable, c.base())
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case res.StatusCode >= http.StatusMultipleChoices:
		defer res.Body.Close()
		return nil, readError(res)
	}
	return res, nil
}

func (c *Client) request(ctx context.Context, route wire.Route, ids []string, body any) (*http.Request, error) {
	base, err := url.Parse(c.base())
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("%q is no URL of a server; one is %s", c.base(), DefaultURL)
	}
	if c.Key != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, fmt.Errorf("the key is not sent to %s in clear text; use https, or a tunnel to its loopback address", base.Host)
	}
	var content io.Reader
	if body != nil {
		encoded, err := wire.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, route.Method, c.base()+route.For(ids...), content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		req.Header.Set(wire.HeaderKey, c.Key)
	}
	return req, nil
}

// base is the server's URL without a slash at its end.
func (c *Client) base() string { return strings.TrimRight(cmp.Or(c.URL, DefaultURL), "/") }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
