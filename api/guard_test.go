package api_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
)

func TestHostAndOrigin(t *testing.T) {
	url := serve(t, api.Config{Contexts: always(t, nil), AllowedHosts: []string{"Box.example", "[fd00::1]"}})
	host := strings.TrimPrefix(url, "http://")
	for header, status := range map[string]int{
		"Host: localhost":                      200,
		"Host: LOCALHOST:1":                    200,
		"Host: 127.0.0.1:49999":                200,
		"Host: [::1]:49999":                    200,
		"Host: 127.0.0.2:49999":                200,
		"Host: [::ffff:127.0.0.1]:49999":       200,
		"Host: box.example:80":                 200,
		"Host: [fd00::1]":                      200,
		"Host: evil.example":                   403,
		"Host: localhost.evil.example":         403,
		"Host: localhost:49999.evil.example":   403,
		"Host: 127.0.0.1.nip.io":               403,
		"Host: 0.0.0.0:49999":                  403,
		"Host: 128.0.0.1":                      403,
		"Origin: http://" + host:               200,
		"Origin: https://evil.example":         403,
		"Origin: http://localhost:1":           403,
		"Origin: null":                         403,
		"Origin: http://" + host + ".evil.com": 403,
	} {
		t.Run(header, func(t *testing.T) {
			for _, method := range []string{"GET", "OPTIONS"} {
				res, body := ask(t, method, url+"/contexts", "", header)
				if method == "OPTIONS" && status == 200 {
					status = 405
				}
				require.Equal(t, status, res.StatusCode, body)
				for name := range res.Header {
					require.False(t, strings.HasPrefix(name, "Access-Control"), name)
				}
			}
		})
	}
	t.Run("two origins", func(t *testing.T) {
		res, _ := ask(t, "GET", url+"/contexts", "", "Origin: "+url, "Origin: https://evil.example")
		require.Equal(t, 403, res.StatusCode)
	})
}

func TestContentType(t *testing.T) {
	url := serve(t, api.Config{Contexts: always(t, nil)})
	for contentType, status := range map[string]int{
		"application/json":                  200,
		"Application/JSON; charset=utf-8":   200,
		"text/plain":                        415,
		"application/x-www-form-urlencoded": 415,
		"application/json, text/plain":      415,
		"":                                  415,
	} {
		for _, path := range []string{"/execute", "/contexts/abc/restart"} {
			res, body := ask(t, "POST", url+path, `{"code":""}`, "Content-Type: ", "Content-Type: "+contentType)
			require.Equal(t, status, res.StatusCode, "%s %s: %s", path, contentType, body)
		}
	}
	res, _ := ask(t, "POST", url+"/execute", `{"code":""}`, "Content-Encoding: gzip")
	require.Equal(t, 415, res.StatusCode)
}

func TestKeys(t *testing.T) {
	const key = "cubby_0123456789"
	var log syncBuffer
	url := serve(t, api.Config{
		Contexts: always(t, nil), Keys: keysOf("other", key), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	var refusal string
	for _, tc := range []struct {
		name   string
		header []string
		status int
	}{
		{"no key", nil, 401},
		{"X-API-Key", []string{"X-API-Key: " + key}, 200},
		{"Bearer", []string{"Authorization: Bearer " + key}, 200},
		{"bearer in small letters", []string{"Authorization: bearer " + key}, 200},
		{"another key", []string{"X-API-Key: other"}, 200},
		{"wrong key", []string{"X-API-Key: wrong"}, 401},
		{"prefix of a key", []string{"X-API-Key: " + key[:8]}, 401},
		{"key and more", []string{"X-API-Key: " + key + "0"}, 401},
		{"upper case", []string{"X-API-Key: " + strings.ToUpper(key)}, 401},
		{"Basic", []string{"Authorization: Basic " + key}, 401},
		{"no scheme", []string{"Authorization: " + key}, 401},
		{"two spaces", []string{"Authorization: Bearer  " + key}, 401},
		{"key twice", []string{"X-API-Key: " + key, "X-API-Key: " + key}, 401},
		{"both headers", []string{"X-API-Key: " + key, "Authorization: Bearer " + key}, 401},
		{"two Authorizations", []string{"Authorization: Bearer " + key, "Authorization: Bearer " + key}, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, body := ask(t, "GET", url+"/contexts", "", append(tc.header, "X-Request-Id: same")...)
			require.Equal(t, tc.status, res.StatusCode)
			if tc.status == 401 {
				require.Equal(t, "Bearer", res.Header.Get("WWW-Authenticate"))
				require.NotContains(t, res.Header, "Cubby-Version")
				if refusal == "" {
					refusal = body
				}
				require.Equal(t, refusal, body, "the body says nothing of the reason")
			}
		})
	}
	t.Run("a key in the query is none", func(t *testing.T) {
		res, _ := ask(t, "GET", url+"/contexts?x-api-key="+key+"&api_key="+key, "")
		require.Equal(t, 401, res.StatusCode)
	})
	t.Run("everything but /health needs one", func(t *testing.T) {
		for _, path := range []string{"/contexts", "/contexts/abc", "/openapi.yaml", "/nothing", "/health/"} {
			res, _ := ask(t, "GET", url+path, "")
			require.Equal(t, 401, res.StatusCode, path)
		}
		res, _ := ask(t, "GET", url+"/health", "")
		require.Equal(t, 200, res.StatusCode)
	})
	t.Run("a stranger's body is not read", func(t *testing.T) {
		conn := dial(t, url)
		fmt.Fprintf(conn, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 401, res.StatusCode)
	})
	t.Run("the log has neither keys nor queries", func(t *testing.T) {
		require.Eventually(t, func() bool { return strings.Contains(log.String(), "path=/nothing") }, 5*time.Second, time.Millisecond)
		require.NotContains(t, log.String(), key)
	})
}

// dial opens a bare connection that ends with the test.
func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

func TestHostileIDsReachNothing(t *testing.T) {
	url := serve(t, api.Config{Contexts: &contexts{t: t}})
	for _, id := range []string{
		"..", "%2e%2e%2fx", "%2E%2E", "a%2fb", "a;b", "a%00", "a%0ab", "a%20b", "%2d%2dprivileged%3d", "l%C3%A0test", ".", "a:latest",
		"sha256:1", strings.Repeat("a", 65), strings.Repeat("a", 8<<10),
	} {
		for _, route := range []string{"GET /contexts/%s", "DELETE /contexts/%s", "POST /contexts/%s/restart", "POST /contexts/%s/interrupt"} {
			method, format, _ := strings.Cut(route, " ")
			conn := dial(t, url)
			fmt.Fprintf(conn, "%s "+format+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", method, id)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Contains(t, []int{400, 404}, res.StatusCode, "%s %.80s", route, id)
		}
	}
	t.Run("in a body", func(t *testing.T) {
		for _, id := range []string{"../x", "a/b", "a\nb", strings.Repeat("a", 65), "é", "a b"} {
			res, body := ask(t, "POST", url+"/execute", fmt.Sprintf(`{"code":"","context_id":%q}`, id))
			require.Equal(t, 404, res.StatusCode)
			require.Less(t, len(body), 400)
		}
	})
}

func TestHostileHeadersAreRefused(t *testing.T) {
	url := serve(t, api.Config{Contexts: always(t, nil)})
	chunk := "0\r\n\r\n"
	for name, tc := range map[string]struct {
		request string
		status  int
	}{
		"headers too long":             {"GET /contexts HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
		"path too long":                {"GET /contexts/" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		"no Host":                      {"GET /contexts HTTP/1.1\r\n\r\n", 400},
		"no Host, HTTP/1.0":            {"GET /contexts HTTP/1.0\r\n\r\n", 403},
		"two Hosts":                    {"GET /contexts HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400},
		"foreign absolute URL":         {"GET http://evil.example/contexts HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
		"two lengths":                  {"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"unknown transfer encoding":    {"POST /execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n" + chunk, 501},
		"two transfer encodings":       {"POST /execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk, 501},
		"space before the colon":       {"GET /contexts HTTP/1.1\r\nHost: localhost\r\nOrigin : http://evil\r\n\r\n", 400},
		"CONNECT":                      {"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
		"a path that would be cleaned": {"GET //contexts HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, url)
			_, _ = conn.Write([]byte(tc.request)) // the server may hang up in the middle of it
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, tc.status, res.StatusCode)
		})
	}
}
