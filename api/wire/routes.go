package wire

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
)

// Route is one operation of the API: a method on a path, in which {id} stands for a context's id and {execution} for
// that of one of its executions.
type Route struct {
	Method string
	Path   string
}

// The routes. The server's mux, the client and the test of openapi.yaml all take them from here.
var (
	RouteHealth    = Route{http.MethodGet, "/health"}
	RouteOpenAPI   = Route{http.MethodGet, "/openapi.yaml"}
	RouteExecute   = Route{http.MethodPost, "/execute"}
	RouteCreate    = Route{http.MethodPost, "/contexts"}
	RouteList      = Route{http.MethodGet, "/contexts"}
	RouteGet       = Route{http.MethodGet, "/contexts/{id}"}
	RouteRemove    = Route{http.MethodDelete, "/contexts/{id}"}
	RouteRestart   = Route{http.MethodPost, "/contexts/{id}/restart"}
	RouteInterrupt = Route{http.MethodPost, "/contexts/{id}/interrupt"}

	RouteStart              = Route{http.MethodPost, "/contexts/{id}/executions"}
	RouteExecution          = Route{http.MethodGet, "/contexts/{id}/executions/{execution}"}
	RouteEvents             = Route{http.MethodGet, "/contexts/{id}/executions/{execution}/events"}
	RouteInterruptExecution = Route{http.MethodPost, "/contexts/{id}/executions/{execution}/interrupt"}
)

var routes = []Route{
	RouteHealth, RouteOpenAPI, RouteExecute, RouteCreate, RouteList, RouteGet, RouteRemove, RouteRestart, RouteInterrupt,
	RouteStart, RouteExecution, RouteEvents, RouteInterruptExecution,
}

// Routes returns all routes.
func Routes() []Route { return slices.Clone(routes) }

// Pattern is the route as net/http's mux writes it.
func (r Route) Pattern() string { return r.Method + " " + r.Path }

var placeholder = regexp.MustCompile(`\{\w+\}`)

// For returns the escaped path for one context, or one execution of it. Ids that the route has no place for are ignored.
func (r Route) For(ids ...string) string {
	return placeholder.ReplaceAllStringFunc(r.Path, func(string) string {
		id := ids[0]
		ids = ids[1:]
		return url.PathEscape(id)
	})
}

// ParamAfter is the parameter of RouteEvents: the number of the last event that the client has seen.
const ParamAfter = "after"

// The headers that are ours.
const (
	HeaderExecutionID = "Cubby-Execution-Id" // names the execution whose lines follow
	HeaderVersion     = "Cubby-Version"      // of the server
	HeaderRequestID   = "X-Request-Id"       // also taken from a request, if well-formed
	HeaderKey         = "X-Api-Key"          // a key; Authorization: Bearer is the other way
)
