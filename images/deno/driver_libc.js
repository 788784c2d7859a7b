// The calls to C that Deno lacks. Both threads load this module, each for itself.

import { lengthOf, subarray, toNumber } from "./driver_safe.js";

const { symbols: libc } = Deno.dlopen("libc.so.6", {
  __errno_location: { parameters: [], result: "pointer" },
  _exit: { parameters: ["i32"], result: "void" },
  close: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize", nonblocking: true },
  usleep: { parameters: ["u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
});

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0x80000;
const EINTR = 4;
const EAGAIN = 11;
const RETRY_MICROSECONDS = 1000;

export const { _exit: exit, close, dup2 } = libc;

const errnoView = new Deno.UnsafePointerView(libc.__errno_location());
const errno = Deno.UnsafePointerView.prototype.getInt32.bind(errnoView);

/** Write all of the bytes, which may wait. Report whether that was possible. */
export function write(fd, bytes) {
  for (let rest = bytes, length; (length = lengthOf(rest)) > 0;) {
    const written = toNumber(libc.write(fd, rest, length));
    if (written >= 0) {
      rest = subarray(rest, written);
      continue;
    }
    const fault = errno();
    if (fault === EAGAIN) {
      libc.usleep(RETRY_MICROSECONDS); // a child has made the pipe non-blocking
    } else if (fault !== EINTR) {
      return false;
    }
  }
  return true;
}

/** Make a file descriptor a duplicate of another one that children do not have. */
export const duplicate = (fd, onto) => libc.dup3(fd, onto, O_CLOEXEC);

/** Have a file descriptor be closed in children. */
export function closeInChildren(fd) {
  libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/** Return a file descriptor as one that is not 0, 1 or 2, which it can be where user code has closed those. */
export function aboveStandard(fd) {
  if (fd > 2) {
    return fd;
  }
  const moved = libc.fcntl(fd, F_DUPFD_CLOEXEC, 3);
  close(fd);
  return moved;
}

// What recvmsg is told, as 64-bit Linux lays it out.
const READ_SIZE = 1 << 20;
const CONTROL_SIZE = 64; // two file descriptors take 24
const MSGHDR = { size: 56, iov: 16, iovlen: 24, control: 32, controllen: 40 };
const CMSGHDR = { size: 16, level: 8, type: 12 };
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** Receives bytes and file descriptors from a socket. */
export class Receiver {
  #fd;
  #data = new Uint8Array(READ_SIZE);
  #control = new DataView(new ArrayBuffer(CONTROL_SIZE));
  #vector = new BigUint64Array(2);
  #header = new DataView(new ArrayBuffer(MSGHDR.size));

  constructor(fd) {
    this.#fd = fd;
    this.#vector[0] = address(this.#data);
    this.#vector[1] = BigInt(READ_SIZE);
    this.#header.setBigUint64(MSGHDR.iov, address(this.#vector), true);
    this.#header.setBigUint64(MSGHDR.iovlen, 1n, true);
    this.#header.setBigUint64(MSGHDR.control, address(this.#control), true);
  }

  /** Return what has come, once something has: no bytes at the end, undefined after a fault. */
  async receive() {
    this.#header.setBigUint64(MSGHDR.controllen, BigInt(CONTROL_SIZE), true);
    const size = Number(await libc.recvmsg(this.#fd, this.#header, MSG_CMSG_CLOEXEC));
    return size < 0 ? undefined : { bytes: this.#data.slice(0, size), fds: this.#fds() };
  }

  #fds() {
    const fds = [];
    const end = Number(this.#header.getBigUint64(MSGHDR.controllen, true));
    for (let at = 0; at + CMSGHDR.size <= end;) {
      const length = Number(this.#control.getBigUint64(at, true));
      const level = this.#control.getInt32(at + CMSGHDR.level, true);
      const type = this.#control.getInt32(at + CMSGHDR.type, true);
      for (let fd = at + CMSGHDR.size; level === SOL_SOCKET && type === SCM_RIGHTS && fd < at + length; fd += 4) {
        fds.push(this.#control.getInt32(fd, true));
      }
      at += Math.max(CMSGHDR.size, Math.ceil(length / 8) * 8);
    }
    return fds;
  }
}

const address = (buffer) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
