package docker

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"sync"
)

// seccompJSON is the profile of every container, on every engine: Docker's default less what nothing in a code context
// needs and what exploits are made of. A test derives it from Docker's own package and holds this file to it.
//
//go:embed seccomp.json
var seccompJSON []byte

// seccompProfile returns the profile on one line, as the engine keeps a copy with each container.
var seccompProfile = sync.OnceValue(func() string {
	var line bytes.Buffer
	if err := json.Compact(&line, seccompJSON); err != nil {
		panic(err) //nolint:forbidigo // impossible: a test reads the embedded file as JSON
	}
	return line.String()
})
