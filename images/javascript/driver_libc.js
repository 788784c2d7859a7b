"use strict";
// The calls to C that Node.js lacks, by koffi. Both threads load this module for themselves.

const koffi = require("./koffi.node");

const F_SETFD = 2;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const RLIMIT_NOFILE = 7;
const EAGAIN = 11;
const EINTR = 4;

const libc = koffi.load(null);
const dup2 = libc.func("int dup2(int from, int to)");
const fcntl = libc.func("int fcntl(int fd, int command, int argument)");
const recvmsg = libc.func("long recvmsg(int fd, void *message, int flags)");
const getrlimit = libc.func("int getrlimit(int resource, void *limit)");
const setrlimit = libc.func("int setrlimit(int resource, void *limit)");
const _exit = libc.func("void _exit(int status)");

/** Throw what errno says that a call has failed of. */
function fail(what) {
  const number = koffi.errno();
  const error = new Error(`${what}: errno ${number}`);
  error.again = number === EAGAIN || number === EINTR;
  throw error;
}

/** Return the file descriptor as one that is not 0, 1 or 2, which it can be where user code has closed those. */
function aboveStandard(fd, close) {
  if (fd > 2) {
    return fd;
  }
  const moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (moved < 0) {
    fail("move a file descriptor");
  }
  close(fd);
  return moved;
}

/** Make `to` another name of `from`, which children inherit. */
function duplicate(from, to) {
  if (dup2(from, to) < 0) {
    fail("redirect the output");
  }
}

/** Keep a file descriptor from children. */
function closeOnExec(fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    fail("set CLOEXEC");
  }
}

/** Receives from a socket, with the file descriptors that come along. */
class Receiver {
  // The structures of recvmsg(2), as amd64 and arm64 have them: an iovec, then a msghdr.
  #data = Buffer.alloc(1 << 16);
  #control = Buffer.alloc(64);
  #vector = Buffer.alloc(16);
  #message = Buffer.alloc(56);

  constructor(fd) {
    this.fd = fd;
    this.#vector.writeBigUInt64LE(koffi.address(this.#data), 0);
    this.#vector.writeBigUInt64LE(BigInt(this.#data.length), 8);
    this.#message.writeBigUInt64LE(koffi.address(this.#vector), 16);
    this.#message.writeBigUInt64LE(1n, 24);
    this.#message.writeBigUInt64LE(koffi.address(this.#control), 32);
  }

  /** Return the bytes that have arrived and their file descriptors; null: none have. No bytes at all are the end. */
  receive() {
    this.#message.writeBigUInt64LE(BigInt(this.#control.length), 40);
    const size = recvmsg(this.fd, this.#message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) {
      const error = koffi.errno();
      if (error === EAGAIN || error === EINTR) {
        return null;
      }
      fail("read from the supervisor");
    }
    return { data: Buffer.from(this.#data.subarray(0, size)), fds: this.#rights() };
  }

  #rights() {
    const fds = [];
    const length = Number(this.#message.readBigUInt64LE(40));
    if (this.#message.readInt32LE(48) & MSG_CTRUNC || length < 16) {
      return fds;
    }
    if (this.#control.readInt32LE(8) === SOL_SOCKET && this.#control.readInt32LE(12) === SCM_RIGHTS) {
      const end = Number(this.#control.readBigUInt64LE(0));
      for (let at = 16; at + 4 <= end; at += 4) {
        fds.push(this.#control.readInt32LE(at));
      }
    }
    return fds;
  }
}

/** Returns what calls a function while there are file descriptors beyond those that user code can use up. */
function fileReserve(usual) {
  const limit = Buffer.alloc(16);
  const set = (soft) => {
    limit.writeBigUInt64LE(soft, 0);
    setrlimit(RLIMIT_NOFILE, limit);
  };
  getrlimit(RLIMIT_NOFILE, limit);
  const hard = limit.readBigUInt64LE(8);
  const soft = usual < hard ? usual : hard;
  set(soft); // Node.js has raised it to the hard one
  return (f) => {
    set(hard);
    try {
      return f();
    } finally {
      set(soft);
    }
  };
}

module.exports = { poll: koffi.node.poll, aboveStandard, closeOnExec, duplicate, exit: _exit, fileReserve, Receiver };
