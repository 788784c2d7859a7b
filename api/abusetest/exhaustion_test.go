//go:build integration

package abusetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/api/wire"
)

func TestExhaustion(t *testing.T) {
	s := startServer(t)
	t.Run("A2 fork bomb of the kernel", func(t *testing.T) {
		a := newArena(t, s)
		got := a.attack(t, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", wire.Execute{TimeoutMS: 2000})
		require.Equal(t, "timeout", got.ending)
	})
}
