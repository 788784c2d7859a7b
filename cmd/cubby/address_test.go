package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestListen(t *testing.T) {
	for _, address := range []string{
		":0", "[::]:0", "0.0.0.0:0", "[::ffff:0.0.0.0]:0", "192.0.2.1:0", "0:0",
	} {
		t.Run("without keys refuses "+address, func(t *testing.T) {
			_, err := listen(t.Context(), address, false)
			require.Error(t, err)
		})
	}
	for _, address := range []string{"", "49999", "127.0.0.1", "127.0.0.1:nope"} {
		t.Run("no address "+address, func(t *testing.T) {
			_, err := listen(t.Context(), address, true)
			require.ErrorContains(t, err, "listen on")
		})
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.9.9.9:0", "[::ffff:127.0.0.1]:0"} {
		t.Run("without keys takes "+address, func(t *testing.T) {
			listener, err := listen(t.Context(), address, false)
			require.NoError(t, err)
			require.NoError(t, listener.Close())
		})
	}
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0", ":0": "::"} {
		t.Run("with keys takes "+address, func(t *testing.T) {
			got, err := resolve(t.Context(), address)
			require.NoError(t, err)
			require.Equal(t, want, got.Addr().String())
		})
	}
	t.Run("the refusal names the way out", func(t *testing.T) {
		_, err := listen(t.Context(), ":0", false)
		require.ErrorContains(t, err, "CUBBY_API_KEY")
	})
	t.Run("a taken port is said", func(t *testing.T) {
		taken, err := listen(t.Context(), "127.0.0.1:0", false)
		require.NoError(t, err)
		defer taken.Close()
		_, err = listen(t.Context(), taken.Addr().String(), false)
		require.ErrorContains(t, err, "the port is taken")
	})
}
