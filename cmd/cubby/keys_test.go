package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeys(t *testing.T) {
	digest := sha256.Sum256([]byte("0123456789abcdef"))
	line := fmt.Sprintf("%x", digest)
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want int
		err  string
	}{
		"digests, names, comments": {text: "# ours\n\n" + line + "  -\n" + line + " second\n", mode: 0o600, want: 2},
		"read-only":                {text: line, mode: 0o400, want: 1},
		"readable by others":       {text: line, mode: 0o644, err: "chmod 600"},
		"a key instead":            {text: "\n0123456789abcdef\n", mode: 0o600, err: "keys:2: no SHA-256 digest"},
		"empty":                    {text: "#\n", mode: 0o600, err: "holds no key"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			require.NoError(t, os.WriteFile(path, []byte(tt.text), tt.mode))
			c := Config{KeysFile: path}
			got, err := c.keys()
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.NotContains(t, err.Error(), "0123456789abcdef", "a key does not belong in an error")
				return
			}
			require.NoError(t, err)
			require.Len(t, got, tt.want)
			require.Equal(t, digest, got[0])
		})
	}
	t.Run("none", func(t *testing.T) {
		got, err := (&Config{}).keys()
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("one from the environment", func(t *testing.T) {
		got, err := (&Config{APIKey: "0123456789abcdef"}).keys()
		require.NoError(t, err)
		require.Equal(t, [][sha256.Size]byte{digest}, got)
	})
	t.Run("a missing file", func(t *testing.T) {
		_, err := (&Config{KeysFile: "/nonexistent/keys"}).keys()
		require.ErrorContains(t, err, "/nonexistent/keys")
	})
}
