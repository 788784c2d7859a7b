#!/bin/sh
# Runs integration tests on the Docker engines of Debian's releases, one after the other, and prints a table. Each engine
# is bootstrapped into .cache/engines once (250 MB to download, a minute or two), and started there as a private one. It
# gets its images from the machine's own engine. Usage: test-engines.sh "RELEASE…" PACKAGE…
#
# A private engine has no way out to registries and package indexes: packages whose tests need one are left out.
set -eu

PART=engines
# shellcheck source=deploy/lib.sh
. "$(dirname "$0")/lib.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${CUBBY_CACHE:-$HERE/../.cache}/engines
KEYRING=$ROOT/usr/share/keyrings/debian-archive-keyring.gpg
OUTSIDE='./images' # packages with tests that need a way out, separated by spaces

# provide makes sure of the programs that a bootstrap needs.
provide() {
    root || die 'the engines need root: run this as root'
    if have mmdebstrap && [ -e "$KEYRING" ]; then return; fi
    debian || die 'the engines are bootstrapped with mmdebstrap, which Debian and Ubuntu have'
    apt_install mmdebstrap debian-archive-keyring
}

# mirror prints the Debian mirror in this machine's apt sources; nothing where they do not serve Debian.
mirror() {
    cat "$ROOT"/etc/apt/sources.list "$ROOT"/etc/apt/sources.list.d/*.list "$ROOT"/etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -n -e 's/^ *deb  *\(\[[^]]*\] *\)\{0,1\}\(https\{0,1\}:[^ ]*\).*/\2/p' -e 's/^URIs: *\(https\{0,1\}:[^ ]*\).*/\1/p' |
        sed -n '\#/debian/\{0,1\}$#{p;q;}'
}

# bootstrap makes the root directory of a release with an engine in it.
bootstrap() {
    [ ! -d "$CACHE/$1" ] || return 0
    say "bootstrapping the engine of Debian $1"
    mkdir -p "$CACHE"
    rm -rf "$CACHE/$1.new"
    # A mirror that stands still is expired; what it holds is signed all the same.
    # shellcheck disable=SC2046 # no word where there is no mirror
    mmdebstrap --quiet --variant=minbase --format=directory --include=docker.io,iptables,ca-certificates \
        --aptopt='Acquire::Check-Valid-Until "false"' --keyring="$KEYRING" --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' "$1" "$CACHE/$1.new" $(mirror) ||
        die "Debian $1 cannot be bootstrapped"
    mv "$CACHE/$1.new" "$CACHE/$1"
}

# load copies the images of the languages, which make builds, from the machine's engine to the private one.
load() {
    # shellcheck disable=SC2046 # a list of words
    docker save $("$HERE/../bin/cubby" images ls | sed -n 's/^[^ ]*  *\([^ ]*\)  *current .*/\1/p') |
        docker --host "unix://$1/engine.sock" load --quiet >/dev/null
}

# attempt tests one release and adds a line to the table: attempt RELEASE PACKAGE…
attempt() {
    release=$1 dir=$(mktemp -d "${TMPDIR:-/tmp}/cubby-engine-XXXXXX") log=$CACHE/$1.log result=passed
    shift
    export CUBBY_ENGINE_ROOT="$CACHE/$release"
    trap 'sh "$HERE/private-engine.sh" end "$dir"; rm -rf "$dir"' EXIT
    trap 'exit 1' INT TERM
    sh "$HERE/private-engine.sh" start "$dir"
    load "$dir"
    version=$(docker --host "unix://$dir/engine.sock" version --format '{{.Server.Version}} {{.Server.APIVersion}}')
    say "testing on Debian $release's Docker engine, version and API $version; the log is $log"
    DOCKER_HOST=unix://$dir/engine.sock go test -race -tags integration -count=1 -p 1 -timeout 60m -v "$@" >"$log" 2>&1 ||
        result=failed
    sh "$HERE/private-engine.sh" end "$dir"
    rm -rf "$dir"
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # two words
    printf '%-10s %-16s %-5s %6s %6s  %s\n' "$release" $version "$(count PASS)" "$(count FAIL)" "$result" >>"$CACHE/table"
    grep -E '^ *--- FAIL|^FAIL|^panic:' "$log" || :
}

# count counts the tests, without those inside others, that ended in a way.
count() { grep -c "^--- $1" "$log" || :; }

[ $# -ge 2 ] || die 'usage: test-engines.sh "RELEASE…" PACKAGE…'
releases=$1
shift
provide
for package in "$@"; do
    shift
    case " $OUTSIDE " in
    *" $package "*) say "left out: $package, whose tests build images with packages from outside" ;;
    *) set -- "$@" "$package" ;;
    esac
done
mkdir -p "$CACHE"
printf '%-10s %-16s %-5s %6s %6s  %s\n' RELEASE ENGINE API PASSED FAILED RESULT >"$CACHE/table"
for release in $releases; do
    bootstrap "$release"
    attempt "$release" "$@"
done
cat "$CACHE/table"
! grep -q 'failed$' "$CACHE/table"
