package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for name, tt := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"of a module": {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: commit}, "v1.2.3"},
		"of a commit": {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: commit}, "devel-0123456789ab-dirty"},
		"of anything": {debug.BuildInfo{}, "devel"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, versionOf(&tt.info)) })
	}
	t.Run("is told whatever the configuration", func(t *testing.T) {
		c := newCLI(t)
		c.variables["CUBBY_LISTEN"] = "nonsense"
		require.Contains(t, c.ok("version"), "cubby ")
	})
}
