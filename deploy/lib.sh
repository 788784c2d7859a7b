# shellcheck shell=sh
# What engine.sh and toolchain.sh share.

# ROOT stands before every path that is read or written on this machine; only tests set it.
ROOT=${CUBBY_TEST_ROOT:-}

say() { printf '%s: %s\n' "$PART" "$*"; }
die() { printf '%s: %s\n' "$PART" "$*" >&2; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }
root() { [ "$(id -u)" = 0 ]; }

# debian reports whether this is Debian or Ubuntu, or made from one.
debian() {
    [ -r "$ROOT/etc/os-release" ] || return 1
    case " $(sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' "$ROOT/etc/os-release" | tr -d '"' | tr '\n' ' ')" in
    *' debian '* | *' ubuntu '*) have apt-get ;;
    *) return 1 ;;
    esac
}

# apt_install installs packages. Lists that cannot be fetched are no reason to stop: one foreign source that is down
# fails the whole update.
apt_install() {
    apt-get -q update </dev/null || say 'apt-get update had faults; trying with the package lists that are there'
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@" </dev/null ||
        die "apt-get could not install $*"
}
