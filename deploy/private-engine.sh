#!/bin/sh
# A Docker engine of its own beside the machine's, for tests that restart, stop or kill one. It has a mount and a network
# namespace to itself, so that it touches neither the machine's engine nor its docker0, and keeps its data in memory.
# Nothing stays behind. For root, on Linux.
#
#   private-engine.sh start DIR [ARGUMENT…]  start dockerd, with more arguments; after it has ended, on the same data
#   private-engine.sh stop DIR               end dockerd in good order; with --live-restore its containers run on
#   private-engine.sh pids DIR NAME          print its processes of a name: dockerd, containerd, containerd-shim-runc-v2
#   private-engine.sh end DIR                end all that start has begun, containers too; DIR keeps engine.log
#
# CUBBY_ENGINE_ROOT names the root directory of the engine's programs, if that is not this machine's own. In DIR are the
# socket, engine.sock, and holder.pid: the process that keeps the namespaces, so that nsenter and /proc/PID/root lead
# there. DIR/data is a file system in memory, whose size can be changed there (mount -o remount,size=…).
set -eu

PART=private-engine
# shellcheck source=deploy/lib.sh
. "$(dirname "$0")/lib.sh"

WAIT=${CUBBY_ENGINE_WAIT:-60} # seconds for an engine to answer, or to end
ROOTFS=${CUBBY_ENGINE_ROOT:-}
SIZE=8g # of the data; only what is used takes memory

usage() { die 'usage: private-engine.sh start DIR [ARGUMENT…] | stop DIR | pids DIR NAME | end DIR'; }

# holder prints the pid of the process that keeps the namespaces. It fails when there is none.
holder() {
    keeper=$(cat "$DIR/holder.pid" 2>/dev/null) || return 1
    [ "$(tr '\0' ' ' 2>/dev/null <"/proc/$keeper/cmdline")" = "tail -f $DIR/holder.pid " ] && echo "$keeper"
}

# within runs a command in the namespaces.
within() { nsenter --target "$(holder)" --mount --net "$@"; }

# hold makes the namespaces, and in them what an engine needs. A root of its own becomes that of the mount namespace: in a
# mere chroot, a docker exec would find itself in the directory above it, this machine's root.
hold() {
    : >"$DIR/holder.pid"
    setsid unshare --mount --net --propagation private tail -f "$DIR/holder.pid" >/dev/null 2>&1 </dev/null &
    echo $! >"$DIR/holder.pid"
    until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/self/ns/net)" ] && holder >/dev/null; do
        kill -0 $! 2>/dev/null || die 'no namespaces can be made here'
        sleep 0.1
    done
    mkdir -p "$DIR/data"
    # shellcheck disable=SC2016 # the inner shell expands it
    within sh -euc '
        ip link set lo up
        mount -t tmpfs -o "size=$3,mode=711" cubby-engine "$1/data"
        if [ -z "$2" ]; then
            mount -t tmpfs -o mode=755 tmpfs /run
            exit
        fi
        mount --bind "$2" "$2"
        mount -t tmpfs -o mode=755 tmpfs "$2/run"
        mount -t tmpfs -o mode=1777 tmpfs "$2/tmp"
        mount -t proc proc "$2/proc"
        mount -t sysfs sysfs "$2/sys"
        mount --rbind /sys/fs/cgroup "$2/sys/fs/cgroup"
        mount --rbind /dev "$2/dev"
        mkdir -p "$2$1"
        mount --rbind "$1" "$2$1"
        cd "$2"
        pivot_root . .
        umount -l .' hold "$DIR" "$ROOTFS" "$SIZE"
}

# pids prints the processes in the engine's mount namespace that have a name; without one, all.
pids() {
    space=$(readlink "/proc/$(holder)/ns/mnt")
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/ns/mnt" 2>/dev/null)" = "$space" ] || continue # a zombie has none
        name=$(tr '\0' '\n' 2>/dev/null <"$process/cmdline" | sed -n '1{s|.*/||;p;}')
        [ "${1:-$name}" != "$name" ] || echo "${process#/proc/}"
    done
}

start() {
    mkdir -p "$DIR"
    if holder >/dev/null; then
        [ -z "$(pids dockerd)" ] || die "an engine runs in $DIR already"
        gone containerd pids containerd # it ends with its dockerd, a moment later
    else
        hold
    fi
    # What was killed has left its pid files, whose numbers may be somebody else's by now.
    within find /run -maxdepth 3 -name '*.pid' -delete
    set -- --data-root "$DIR/data" --exec-root /run/docker --pidfile /run/docker.pid \
        --host "unix://$DIR/engine.sock" --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$(cgroup)" "$@"
    set -- dockerd "$@"
    setsid nsenter --target "$(holder)" --mount --net "$@" >>"$DIR/engine.log" 2>&1 </dev/null &
    started=$! waited=0
    until answer=$(docker --host "unix://$DIR/engine.sock" version --format '{{.Server.Version}}' 2>&1); do
        kill -0 "$started" 2>/dev/null || die "dockerd has ended: $(tail -n 1 "$DIR/engine.log")"
        [ "$waited" -lt "$((WAIT * 5))" ] || die "dockerd did not answer within $WAIT s: $answer. See $DIR/engine.log"
        sleep 0.2
        waited=$((waited + 1))
    done
    say "Docker engine $answer answers on unix://$DIR/engine.sock"
}

# gone waits until a command prints nothing: gone WHAT COMMAND…
gone() {
    what=$1 waited=0
    shift
    while [ -n "$("$@")" ]; do
        [ "$waited" -lt "$((WAIT * 5))" ] || die "$what did not end within $WAIT s. See $DIR/engine.log"
        sleep 0.2
        waited=$((waited + 1))
    done
}

# terminate signals processes that may have ended already: terminate SIGNAL PID…
terminate() {
    signal=$1
    shift
    [ $# = 0 ] || kill -"$signal" "$@" 2>/dev/null || :
}

stop() {
    holder >/dev/null || return 0
    # shellcheck disable=SC2046 # a list of numbers
    terminate TERM $(pids dockerd)
    gone dockerd pids dockerd
}

# cgroup names the parent of all cgroups of the engine's containers.
cgroup() { printf '/cubby-engine-%s' "$(holder)"; }

# members prints the processes in the engine's cgroups.
members() {
    find /sys/fs/cgroup -path "*$1/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}

# end kills those that start others before those that are started.
end() {
    if holder >/dev/null; then
        parent=$(cgroup)
        for name in dockerd containerd containerd-shim-runc-v2; do
            # shellcheck disable=SC2046 # a list of numbers
            terminate KILL $(pids "$name")
            gone "$name" pids "$name"
        done
        # shellcheck disable=SC2046 # a list of numbers
        terminate KILL $(members "$parent")
        gone 'a container' members "$parent"
        find /sys/fs/cgroup -depth -type d -path "*$parent*" -exec rmdir {} +
        # shellcheck disable=SC2046 # a list of numbers
        terminate KILL $(pids)
    fi
    rm -f "$DIR/holder.pid" "$DIR/engine.sock"
    rmdir "$DIR/data" 2>/dev/null || :
}

[ $# -ge 2 ] || usage
order=$1 DIR=$2
shift 2
root || die 'a private engine needs root: run this as root'
[ "$(uname -s)" = Linux ] || die 'a private engine needs Linux'
case $DIR in /*) ;; *) DIR=$PWD/$DIR ;; esac
case $order in
start | stop | end) "$order" "$@" ;;
pids) ! holder >/dev/null || pids "$@" ;;
*) usage ;;
esac
