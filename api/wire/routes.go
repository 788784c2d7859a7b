package wire

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Route is one operation of the API: a method on a path, in which {id} stands for a context's id.
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
)

var routes = []Route{
	RouteHealth, RouteOpenAPI, RouteExecute, RouteCreate, RouteList, RouteGet, RouteRemove, RouteRestart, RouteInterrupt,
}

// Routes returns all routes.
func Routes() []Route { return slices.Clone(routes) }

// Pattern is the route as net/http's mux writes it.
func (r Route) Pattern() string { return r.Method + " " + r.Path }

// For returns the escaped path for one context. The id of a route without {id} is ignored.
func (r Route) For(id string) string { return strings.Replace(r.Path, "{id}", url.PathEscape(id), 1) }

// The headers that are ours.
const (
	HeaderExecutionID = "Cubby-Execution-Id" // names the execution whose lines follow
	HeaderVersion     = "Cubby-Version"      // of the server
	HeaderRequestID   = "X-Request-Id"       // also taken from a request, if well-formed
	HeaderKey         = "X-Api-Key"          // a key; Authorization: Bearer is the other way
)
