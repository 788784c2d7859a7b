#!/bin/sh
# Writes the root file system of Debian trixie to standard output, as a tar archive: the base image where no registry
# answers. Usage: base.sh ARCHITECTURE (amd64 or arm64). What it does it says on standard error.
#
# It bootstraps with mmdebstrap from a Debian mirror: the one in this machine's apt sources, else mmdebstrap's default.
# What it lacks it installs, as root on Debian and Ubuntu; elsewhere it names the remedy.
set -eu

SUITE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# ROOT stands before every path that is read on this machine; only tests set it.
ROOT=${CUBBY_TEST_ROOT:-}

say() { printf 'base: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# missing lists the packages that the bootstrap needs and this machine lacks.
missing() {
    command -v mmdebstrap >/dev/null 2>&1 || printf 'mmdebstrap '
    [ -e "$ROOT$KEYRING" ] || printf 'debian-archive-keyring '
}

# provide installs what is missing, where that is allowed and possible.
provide() {
    packages=$(missing)
    [ -n "$packages" ] || return 0
    command -v apt-get >/dev/null 2>&1 || die "no registry answers, and this machine cannot bootstrap Debian:" \
        "it needs mmdebstrap, which Debian and Ubuntu have. Load the image debian:$SUITE-slim into the engine" \
        "(docker load), or name another Debian $SUITE image that the engine has with --base"
    [ "$(id -u)" = 0 ] || die "missing: $packages. Install it: sudo apt-get install $packages"
    say "installing $packages(about 1 MB, seconds)"
    {
        apt-get -q update || say "apt-get update had faults; trying with the package lists that are there"
        # shellcheck disable=SC2086 # a list of words
        DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $packages
    } >&2 || die "apt-get could not install $packages"
}

# uris prints the addresses in this machine's apt sources, one-line and deb822 style.
uris() {
    for file in "$ROOT"/etc/apt/sources.list "$ROOT"/etc/apt/sources.list.d/*.list; do
        [ ! -e "$file" ] || sed -n 's/^ *deb  *\(\[[^]]*\] *\)\{0,1\}\(https\{0,1\}:[^ ]*\).*/\2/p' "$file"
    done
    for file in "$ROOT"/etc/apt/sources.list.d/*.sources; do
        [ ! -e "$file" ] || sed -n 's/^URIs: *\(https\{0,1\}:[^ ]*\).*/\1/p' "$file"
    done
}

# sources prints the sources.list of the new system; nothing where this machine's own sources do not serve Debian.
sources() {
    mirror=$(uris | sed -n '\#/debian/\{0,1\}$#{p;q;}')
    security=$(uris | sed -n '\#/debian-security/\{0,1\}$#{p;q;}')
    [ -n "$mirror" ] || return 0
    printf 'deb %s %s main\ndeb %s %s-updates main\n' "$mirror" "$SUITE" "$mirror" "$SUITE"
    [ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$SUITE"
}

# bootstrap writes the archive. The paths left out are documentation; copyright files stay, as licences ask.
bootstrap() {
    list=$(sources)
    from=$(printf '%s\n' "$list" | sed -n '1s/^deb \([^ ]*\) .*/\1/p')
    say "bootstrapping Debian $SUITE for $1 from ${from:-the default mirror}: about 35 MB, half a minute"
    # The name and the resolver of this machine have no place in an image; the engine gives containers their own.
    # shellcheck disable=SC2016 # mmdebstrap expands $1
    clean='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"'
    set -- --quiet --variant=minbase --architectures="$1" --include=ca-certificates \
        --keyring="$ROOT$KEYRING" --format=tar \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --customize-hook="$clean" "$SUITE" -
    if [ -n "$list" ]; then
        printf '%s\n' "$list" | mmdebstrap "$@" -
    else
        mmdebstrap "$@"
    fi
}

[ $# = 1 ] || die "usage: base.sh ARCHITECTURE"
provide
bootstrap "$1"
say "done"
