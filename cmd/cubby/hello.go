package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"cubby/api/client"
	"cubby/api/wire"
)

// helloCode is the first cell: it shows a value that only a Python can have made.
const helloCode = `import platform; f"{6 * 7}, says Python {platform.python_version()}"`

// hello creates a context through the server's own API, runs one cell in it, prints the result with its time, and says
// how to go on. The context is removed again.
func (a *app) hello(ctx context.Context, address string) error {
	c := &client.Client{URL: address, Key: a.config.APIKey}
	began := time.Now()
	created, err := c.Create(ctx, wire.CreateContext{})
	if err != nil {
		return err
	}
	ready := time.Now()
	text, err := evaluate(ctx, c, created.ID)
	answered := time.Now()
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := errors.Join(err, c.Remove(cleaning, created.ID)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(visible(a.stdout, a.stdoutTerminal), `
A Python context was ready in %s and ran its first cell in %s:

    %s
    %s

The server is at %s. To go on, from another terminal:

%s
Ctrl-C stops it.
`, took(ready.Sub(began)), took(answered.Sub(ready)), helloCode, text, address, a.nextSteps(address))
	return err
}

// nextSteps returns command lines for the server at an address, as they have to be typed.
func (a *app) nextSteps(address string) string {
	key, cli, sdk := "", cmp.Or(a.program, "cubby"), "E2B_DEBUG=true"
	if address != client.DefaultURL {
		cli, sdk = "CUBBY_URL="+address+" "+cli, sdk+" E2B_SANDBOX_URL="+address
	}
	if a.config.APIKey != "" {
		key = ` -H "X-API-Key: $CUBBY_API_KEY"`
	}
	steps := fmt.Sprintf(`    curl -s %s/execute%s -H 'Content-Type: application/json' -d '{"code": "x = 41; x + 1"}'
    %s ctx create
`, address, key, cli)
	if key == "" { // the SDKs send none in debug mode
		steps += "    " + sdk + " node or python3, with E2B's code-interpreter SDK as it is\n"
	}
	return steps
}

// evaluate runs the first cell and returns its value.
func evaluate(ctx context.Context, c *client.Client, id string) (string, error) {
	var value string
	var failure error
	err := c.Execute(ctx, wire.Execute{Code: helloCode, ContextID: id}, func(line wire.Line) error {
		switch line := line.(type) {
		case wire.Result:
			if line.IsMainResult && line.Text != nil {
				value = *line.Text
			}
		case wire.ExecutionError:
			failure = fmt.Errorf("the first cell failed: %s: %s", line.Name, line.Value)
		}
		return nil
	})
	if value == "" && err == nil && failure == nil {
		failure = errors.New("the first cell had no result")
	}
	return value, errors.Join(err, failure)
}

// took words a duration.
func took(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
