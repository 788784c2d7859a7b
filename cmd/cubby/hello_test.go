package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHello(t *testing.T) {
	// pretend answers as a server whose first cell has these lines.
	pretend := func(lines string) (*httptest.Server, *bool) {
		removed := false
		mux := http.NewServeMux()
		mux.HandleFunc("POST /contexts", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"id":"abc","contextId":"abc","language":"python","cwd":"/home/user"}`)
		})
		mux.HandleFunc("POST /execute", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, lines) })
		mux.HandleFunc("DELETE /contexts/abc", func(w http.ResponseWriter, _ *http.Request) {
			removed = true
			_, _ = io.WriteString(w, "null")
		})
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return server, &removed
	}
	const end = `{"type":"end_of_execution","ending":"ok","state":"preserved","generation":1}` + "\n"

	t.Run("the result, and how to go on", func(t *testing.T) {
		server, removed := pretend(`{"type":"result","text":"42, says Python 3.13.5","extra":{},"is_main_result":true}` + "\n" + end)
		p, stdout, _ := newCLI(t).process()
		require.NoError(t, (&app{process: p}).hello(t.Context(), server.URL))
		require.Contains(t, stdout.String(), "42, says Python 3.13.5")
		require.Contains(t, stdout.String(), "curl -s "+server.URL+"/execute")
		require.True(t, *removed)
	})
	for name, lines := range map[string]string{
		"an exception": `{"type":"error","name":"ValueError","value":"x","traceback":""}` + "\n" + end,
		"no result":    end,
		"a cut stream": "",
	} {
		t.Run(name+" is a failure, and the context goes", func(t *testing.T) {
			server, removed := pretend(lines)
			p, stdout, _ := newCLI(t).process()
			require.Error(t, (&app{process: p}).hello(t.Context(), server.URL))
			require.Empty(t, stdout.String())
			require.True(t, *removed)
		})
	}
}

func TestNextSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		program, address, key string
		want                  string
	}{
		"where everybody looks": {
			program: "bin/cubby", address: "http://127.0.0.1:49999",
			want: "bin/cubby ctx create\n    E2B_DEBUG=true node",
		},
		"at another address": {
			address: "http://127.0.0.1:1",
			want:    "CUBBY_URL=http://127.0.0.1:1 cubby ctx create\n    E2B_DEBUG=true E2B_SANDBOX_URL=http://127.0.0.1:1 node",
		},
		"with a key": {
			address: "http://127.0.0.1:49999", key: "0123456789abcdef",
			want: `/execute -H "X-API-Key: $CUBBY_API_KEY" -H`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := app{process: process{program: tt.program}, config: Config{APIKey: tt.key}}
			steps := a.nextSteps(tt.address)
			require.Contains(t, steps, tt.want)
			require.NotContains(t, steps, "0123456789abcdef")
			require.Equal(t, tt.key == "", strings.Contains(steps, "SDK"), "the SDKs send no key")
		})
	}
}

func TestTook(t *testing.T) {
	require.Equal(t, "1.5 ms", took(1500*time.Microsecond))
	require.Equal(t, "2.3 s", took(2300*time.Millisecond))
}
