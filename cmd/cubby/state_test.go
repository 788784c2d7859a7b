package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLockHolder(t *testing.T) {
	const locks = `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF
2: POSIX  ADVISORY  WRITE 17 fd:01:99 0 EOF
3: FLOCK  ADVISORY  WRITE 12 fd:01:77 0 EOF
4: FLOCK  ADVISORY  WRITE 13 00:2a:77 0 EOF
4: -> FLOCK  ADVISORY  WRITE 14 fd:01:1234 0 EOF
5: FLOCK
`
	for name, tc := range map[string]struct {
		inode uint64
		want  int
	}{
		"who holds the file, not who waits for it": {1234, 4711},
		"a lock of another kind":                   {99, 0},
		"a number that two file systems have":      {77, 0},
		"the end of another number":                {34, 0},
		"nobody":                                   {1, 0},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, lockHolder(locks, tc.inode)) })
	}
}
