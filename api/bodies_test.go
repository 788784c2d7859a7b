package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/api"
)

// TestLongBodiesAreReadAFewAtATime: memory must not depend on how many clients send at once.
func TestLongBodiesAreReadAFewAtATime(t *testing.T) {
	const long = 25 << 20
	send := func(t *testing.T, server http.Handler, length int64, body io.Reader) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/execute", body)
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = length
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		return answer
	}
	ok := func() io.Reader { return strings.NewReader(`{"code":""}`) }

	synctest.Test(t, func(t *testing.T) {
		server := api.New(api.Config{Contexts: always(t, nil), Logger: slog.New(slog.DiscardHandler)})
		var inside sync.WaitGroup
		var ends []*io.PipeWriter
		for range 2 { // two clients that announce much and send nothing
			body, end := io.Pipe()
			ends = append(ends, end)
			inside.Go(func() { send(t, server, long, body) })
		}
		synctest.Wait()
		for name, length := range map[string]int64{"announced": long, "of unknown length": -1} {
			began := time.Now()
			answer := send(t, server, length, ok())
			require.Equal(t, http.StatusTooManyRequests, answer.Code, name)
			require.NotEmpty(t, answer.Header().Get("Retry-After"), name)
			require.Positive(t, time.Since(began), "it has waited")
		}
		require.Equal(t, http.StatusOK, send(t, server, 64<<10, ok()).Code, "small ones pass freely")

		var waiting sync.WaitGroup
		waiting.Go(func() {
			if code := send(t, server, long, ok()).Code; code != http.StatusOK {
				t.Errorf("a body that waited for room: %d", code)
			}
		})
		synctest.Wait()
		require.NoError(t, ends[0].Close())
		waiting.Wait()
		require.NoError(t, ends[1].Close())
		inside.Wait()
		require.Equal(t, http.StatusOK, send(t, server, -1, ok()).Code, "all have left")
	})
}
