"""Frames over file descriptor 3: JSON objects, one a line, with file descriptors beside them."""

from binascii import b2a_base64
from json import JSONDecoder, JSONEncoder
from os import _exit, close, register_at_fork, set_inheritable, write
from select import POLLIN, poll
from socket import MSG_CMSG_CLOEXEC, MSG_DONTWAIT, recv_fds, socket
from threading import Lock

CHANNEL_FD = 3
READ_SIZE = 1 << 20
MAX_BUNDLE = 6 << 20  # of the 8 MiB of a frame, some of which may be escaped again on the way
# What a program reads and a person does without, the first to go where a bundle is too large.
SPARE = ("e2b/data", "application/json", "e2b/chart")
# Strict JSON in ASCII. An encoder of our own, since json.dumps belongs to everybody.
encode = JSONEncoder(allow_nan=False, separators=(",", ":")).encode
decode = JSONDecoder().decode
encode_loosely = JSONEncoder(allow_nan=True).encode
decode_nan_as_null = JSONDecoder(parse_constant=lambda name: None).decode


class Channel:
    """The driver's end of the socketpair. Frames may be sent from any thread; one thread receives."""

    def __init__(self, held):
        self.held = held  # a context manager: no interrupt is raised inside, a frame goes out whole
        self.forked = False  # this process is a child that user code forked: it never answers
        self.receiving = False
        self._socket = socket(fileno=CHANNEL_FD)
        set_inheritable(CHANNEL_FD, False)
        self._writing = Lock()
        self._partial = bytearray()  # a line of which the end has not come yet
        self._fds = []
        self._poll = poll()
        self._poll.register(CHANNEL_FD, POLLIN)
        register_at_fork(after_in_child=self._leave)

    def send(self, **frame):
        """Write one frame. A supervisor that cannot be reached ends the process."""
        if self.forked:
            return
        line = encode(frame).encode() + b"\n"
        try:
            with self.held, self._writing:
                self._socket.sendall(line)
        except OSError as error:
            die(f"write to the supervisor: {error}")

    def receive(self):
        """Return the frames that have arrived, each with the file descriptors that have arrived so far."""
        try:
            data, fds, _, _ = recv_fds(self._socket, READ_SIZE, 2, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return []
        except OSError as error:
            die(f"read from the supervisor: {error}")
        if not data:
            _exit(0)  # the supervisor is gone, and with it the container
        self._fds += fds
        self._partial += data
        if b"\n" not in data:
            return []
        *lines, rest = self._partial.split(b"\n")
        self._partial = rest
        return [(decode(line.decode()), self._take_fds()) for line in lines]

    def waiting(self):
        """Report whether there is something to receive."""
        return bool(self._poll.poll(0))

    def fileno(self):
        return CHANNEL_FD

    def _take_fds(self):
        fds, self._fds = self._fds, []
        return fds

    def _leave(self):
        self.forked = True
        self._writing = Lock()  # a thread that the child does not have may hold the old one
        self._socket.detach()
        try:
            close(CHANNEL_FD)
        except OSError:
            pass  # user code has closed it


def die(reason):
    """End the process, which the supervisor reports as the death of this kernel, and its reason."""
    try:
        write(CHANNEL_FD, encode({"type": "dying", "value": f"python driver: {reason}"}).encode() + b"\n")
    finally:
        _exit(70)


def strict(bundle):
    """Return a MIME bundle as strict JSON allows it: bytes as base64, NaN and infinities as null.

    A value that is no JSON at all is left out; text/plain is there in any case.
    """
    clean = {}
    for mime, value in bundle.items():
        if isinstance(value, (bytes, bytearray)):
            value = value.decode(errors="replace") if _is_text(mime) else b2a_base64(value, newline=False).decode()
        elif not isinstance(value, str):
            try:
                value = decode_nan_as_null(encode_loosely(value))
            except (TypeError, ValueError, RecursionError):
                continue
        clean[str(mime)] = value
    if not isinstance(clean.setdefault("text/plain", ""), str):
        clean["text/plain"] = str(bundle["text/plain"])
    return clean


def fitting(bundle):
    """Return a MIME bundle without what does not fit into a frame and what else is there says as well."""
    for mime in SPARE:
        if mime in bundle and len(bundle) > 1 and len(encode(bundle)) > MAX_BUNDLE:
            bundle = {other: value for other, value in bundle.items() if other != mime}
    return bundle


def _is_text(mime):
    return mime.startswith("text/") or mime.endswith(("+xml", "json", "javascript"))
