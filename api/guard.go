package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"cubby/api/wire"
)

// guard refuses a request before any of its body is read: this API runs code, so no web page may reach it, whatever
// name it gives the server, and no stranger.
func (s *Server) guard(r *http.Request) error {
	switch {
	case !s.knowsHost(r.Host):
		return &refusal{http.StatusForbidden, fmt.Sprintf("this server does not go by the name %.100q; it can be added with --allowed-hosts", r.Host)}
	case isForeign(r):
		return &refusal{http.StatusForbidden, "requests from web pages are refused"}
	case r.URL.Path == wire.RouteHealth.Path:
		return nil
	case !s.hasKey(r.Header):
		return &refusal{http.StatusUnauthorized, "a valid API key is required"}
	case !isClean(r.URL.Path):
		return noSuchPage(nil, r)
	case r.Header.Get("Content-Encoding") != "":
		return &refusal{http.StatusUnsupportedMediaType, "send the body without Content-Encoding"}
	case r.Method == http.MethodPost && r.ContentLength != 0 && !isJSON(r.Header):
		return &refusal{http.StatusUnsupportedMediaType, "send the body with Content-Type: application/json"}
	}
	return nil
}

// knowsHost reports whether a Host header names this server. A page that has its own name resolve to this machine
// (DNS rebinding) is given away by it.
func (s *Server) knowsHost(hostport string) bool {
	host := strings.ToLower((&url.URL{Host: hostport}).Hostname())
	address, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return false
	case host == "localhost", err == nil && address.Unmap().IsLoopback():
		return true
	}
	return slices.ContainsFunc(s.AllowedHosts, func(allowed string) bool {
		return strings.ToLower(strings.Trim(allowed, "[]")) == host
	})
}

// isForeign reports whether a browser sent the request for a page that is not of this server.
func isForeign(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return false
	}
	origin, err := url.Parse(origins[0])
	return len(origins) > 1 || err != nil || !strings.EqualFold(origin.Host, r.Host)
}

func isJSON(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}

// hasKey reports whether the headers carry exactly one key, and a known one. How long it takes tells nothing of the
// keys.
func (s *Server) hasKey(h http.Header) bool {
	if len(s.Keys) == 0 {
		return true
	}
	presented := slices.Clone(h.Values(wire.HeaderKey))
	for _, value := range h.Values("Authorization") {
		scheme, key, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		presented = append(presented, key)
	}
	if len(presented) != 1 {
		return false
	}
	digest := sha256.Sum256([]byte(presented[0]))
	known := 0
	for _, key := range s.Keys {
		known |= subtle.ConstantTimeCompare(digest[:], key[:])
	}
	return known == 1
}
