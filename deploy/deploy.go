// Package deploy holds what prepares a machine for cubby: scripts that make sure of a container engine (engine.sh) and
// of the tools that the tests need (toolchain.sh), that start an engine which tests may break (private-engine.sh) and run
// tests on engines of other releases (test-engines.sh), and the one that an installed cubby carries along, because it
// needs it where no registry answers.
package deploy

import _ "embed"

// BaseScript is base.sh, a POSIX shell script. With an architecture of Debian's (amd64, arm64) as its argument it
// writes the root file system of Debian trixie to standard output, as a tar archive; what it does it says on standard
// error. It fails, with a remedy, where that cannot be done.
//
//go:embed base.sh
var BaseScript string
