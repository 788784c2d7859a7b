#!/bin/sh
# Makes sure of a Docker engine: the one that the docker CLI would use. Only where there is none, on Debian or Ubuntu,
# as root, it installs docker.io; only where there is no systemd it starts a stopped engine itself. In every other
# case it says what to do and fails. A second run finds the engine and does nothing.
set -eu

PART=engine
# shellcheck source=deploy/lib.sh
. "$(dirname "$0")/lib.sh"

LOG=$ROOT/var/log/cubby-dockerd.log
WAIT=${CUBBY_ENGINE_WAIT:-60} # seconds for an engine to answer after its start
# Packages that bring an engine. They conflict with one another, so nothing is installed beside one of them.
ENGINES='docker.io docker-ce docker-ee docker-desktop docker-engine moby-engine podman-docker'

# probe asks the engine that the docker CLI would use. It leaves the version, or why there is none, in $answer.
probe() {
    have docker || { answer='no docker command'; return 1; }
    answer=$(docker version --format '{{.Server.Version}}' 2>&1)
}

# chosen prints what points the docker CLI away from the default engine, if anything does.
chosen() {
    if [ -n "${DOCKER_HOST:-}" ]; then
        printf 'DOCKER_HOST=%s' "$DOCKER_HOST"
    elif have docker; then
        context=$(docker context show 2>/dev/null) || context=default
        [ "$context" = default ] || printf 'the docker context "%s"' "$context"
    fi
}

# installed prints an engine that is on this machine, running or not.
installed() {
    if have dpkg-query; then
        for package in $ENGINES; do
            # shellcheck disable=SC2016 # dpkg-query expands it
            case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            *' installed') printf '%s' "$package"; return ;;
            esac
        done
    fi
    if have snap && snap list docker >/dev/null 2>&1; then printf 'the snap docker'; return; fi
    ! have dockerd || printf 'dockerd'
}

systemd() { [ -d "$ROOT/run/systemd/system" ]; }

install() {
    say 'no engine on this machine: installing docker.io (about 75 MB to download, 300 MB on disk; a minute or two)'
    apt_install docker.io ca-certificates
    # Newer releases have the docker command in a package of its own.
    have docker || apt_install docker-cli
}

# alive reports whether a daemon is there already, answering or not yet. It removes the pid files of one that did not
# end well: their numbers may belong to somebody else by now, and the daemon would not start beside that. A zombie's name
# gets a Z before it, and so is nobody's.
alive() {
    for file in "$ROOT/var/run/docker/containerd/containerd.pid" "$ROOT/var/run/docker.pid"; do
        [ -s "$file" ] || continue
        process=$ROOT/proc/$(cat "$file")
        case $(sed -n 's/^State:.\(Z\).*/\1/p' "$process/status" 2>/dev/null)$(cat "$process/comm" 2>/dev/null) in
        containerd) ;;
        dockerd) return 0 ;;
        *) rm -f "$file" ;;
        esac
    done
    return 1
}

# background starts dockerd in a session of its own, so that a Ctrl-C here does not reach it.
background() {
    ! alive || return 0
    have dockerd || die "$1 is installed, but dockerd is not in PATH; add /usr/sbin to it"
    mkdir -p "$(dirname "$LOG")"
    say "no systemd here: starting dockerd in the background, with its log in $LOG"
    setsid dockerd >>"$LOG" 2>&1 </dev/null &
    started=yes
}

start() {
    started=
    if systemd; then
        systemctl enable --now docker || die 'systemd could not start docker: see journalctl -u docker'
    else
        background "$1"
    fi
    waited=0
    until probe; do
        [ "$waited" -lt "$WAIT" ] || die "dockerd did not answer within $WAIT s: $answer. See" \
            "$(systemd && echo 'journalctl -u docker' || echo "$LOG")"
        sleep 1
        waited=$((waited + 1))
        # One that was there may have been about to end.
        systemd || [ -n "$started" ] || background "$1"
    done
    say "Docker engine $answer answers"
}

# stopped deals with an engine that is installed but does not answer. Where a service manager or somebody else is in
# charge of it, starting it is theirs.
stopped() {
    if ! have docker && [ -S "$ROOT/var/run/docker.sock" ]; then
        die "$1 is installed, but the docker command is not: sudo apt-get install docker-cli"
    fi
    ! systemd || die "$1 is installed but does not answer. Start it: sudo systemctl start docker"
    case $1 in
    docker.io | docker-ce | docker-ee | docker-engine | moby-engine | dockerd) ;;
    *) die "$1 is installed but does not answer. Start it" ;;
    esac
    root || die "$1 is installed but does not answer. Start it: sudo service docker start"
    start "$1"
}

main() {
    if probe; then
        say "using Docker engine $answer ($(target=$(chosen); echo "${target:-the default one}"))"
        return
    fi
    target=$(chosen)
    [ -z "$target" ] || die "$target does not answer: $answer. Start that engine, or choose another one" \
        '(unset DOCKER_HOST, docker context use)'
    case $answer in
    *'permission denied'*) die "no permission to use the Docker engine. Join the group docker, and log in again:" \
        "sudo usermod -aG docker $(id -un)" ;;
    esac
    [ "$(uname -s)" = Linux ] || die 'no Docker engine answers. Install Docker Desktop' \
        '(https://docs.docker.com/desktop/) or colima (brew install colima docker; colima start), and start it'
    engine=$(installed)
    if [ -n "$engine" ]; then
        stopped "$engine"
        return
    fi
    debian || die 'no Docker engine on this machine. How to install one: https://docs.docker.com/engine/install/'
    root || die 'no Docker engine on this machine. Install it: sudo apt-get install docker.io, or run this as root'
    install
    start docker.io
}

main
