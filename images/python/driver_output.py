"""Output: each execution has pipes of its own for stdout and stderr.

File descriptors 1 and 2 are the pipes of the newest execution: child processes and C code write there. What Python
prints goes to the pipe of the execution that caused it, also from a thread or a task that outlives its execution.
"""

import _thread
import concurrent.futures.thread
import ctypes
import io
import sys
import threading
from collections import deque
from contextvars import ContextVar
from fcntl import F_DUPFD_CLOEXEC, fcntl
from os import close, dup2
from weakref import ref

KEPT_EXECUTIONS = 64  # with open pipes; what older ones print is dropped
STARTS_PROCESS = frozenset(("os.system", "subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn"))

_execution = ContextVar("execution")


class Execution:
    """The pipes of one execution. They close when nothing refers to it any more: no task, no thread, no later turn."""

    def __init__(self, stdout, stderr):
        self.files = tuple(
            open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", newline="\n", closefd=True)
            for fd in (stdout, stderr)
        )

    def flush(self):
        """Write what is buffered. A pipe that is gone is no error: nobody reads it."""
        for file in self.files:
            try:
                file.flush()
            except (OSError, ValueError):
                pass

    def close(self):
        """Close the pipes; what is written from now on is dropped."""
        files, self.files = self.files, (_nowhere, _nowhere)
        for file in files:
            try:
                if file is not _nowhere:
                    file.close()
            except OSError:
                pass

    __del__ = close


class Outputs:
    """The executions' outputs, and the streams that user code knows as sys.stdout and sys.stderr."""

    def __init__(self):
        self.newest = Execution(fcntl(1, F_DUPFD_CLOEXEC, 3), fcntl(2, F_DUPFD_CLOEXEC, 3))
        self._kept = deque()
        self._stdout, self._stderr = Stream(self, 0), Stream(self, 1)
        streams = self._stdout, self._stderr, self._stdout.buffer, self._stderr.buffer
        self._attributes = [(stream.__dict__, dict(stream.__dict__)) for stream in streams]
        self._stdin = open("/dev/null")
        # C's stdout would buffer whole blocks, since it is a pipe.
        libc = ctypes.CDLL(None)
        self._c_stdout, self._fflush = ctypes.c_void_p.in_dll(libc, "stdout"), libc.fflush
        libc.setvbuf(self._c_stdout, None, 1, 0)
        self._install()
        sys.addaudithook(self._audit)

    def begin(self, stdout, stderr):
        """Make a pair of pipes the newest execution's, which is returned: file descriptors 1 and 2, and the streams."""
        self.flush()
        self._install()  # before 1 and 2 change: what user code had put there may still write as it goes
        stdout, stderr = _above_standard(stdout), _above_standard(stderr)
        dup2(stdout, 1)
        dup2(stderr, 2)
        self.newest = Execution(stdout, stderr)
        self._kept = deque(kept for kept in self._kept if kept() is not None)
        self._kept.append(ref(self.newest))
        if len(self._kept) > KEPT_EXECUTIONS and (oldest := self._kept.popleft()()) is not None:
            oldest.close()
        return self.newest

    def here(self):
        """Return the execution that caused what runs now."""
        return _execution.get(self.newest)

    def flush(self):
        """Write what Python and C have buffered for the newest execution."""
        self.newest.flush()
        self._fflush(self._c_stdout)

    def _install(self):
        for attributes, own in self._attributes:
            if attributes != own:  # user code has put something over the stream's methods
                attributes.clear()
                attributes.update(own)
        sys.stdout = sys.__stdout__ = self._stdout
        sys.stderr = sys.__stderr__ = self._stderr
        if self._stdin.closed:
            self._stdin = open("/dev/null")
        sys.stdin = sys.__stdin__ = self._stdin

    def _audit(self, event, args):
        # A child writes to the same pipe: what was printed before it starts comes first, and once.
        if event in STARTS_PROCESS:
            self.here().flush()
            self.flush()


class Stream(io.TextIOBase):
    """sys.stdout or sys.stderr: a text stream that finds its file by the execution that writes."""

    encoding, errors, newlines, line_buffering = "utf-8", "backslashreplace", None, True
    mode = "w"

    def __init__(self, outputs, index):
        self.name = ("<stdout>", "<stderr>")[index]
        self.buffer = BinaryStream(self)
        self._outputs, self._index = outputs, index

    def file(self):
        """Return the file of the execution that writes."""
        return self._outputs.here().files[self._index]

    def write(self, text):
        try:
            return self.file().write(text)
        except BrokenPipeError:
            # Nobody reads a finished execution any more, and a thread that it left behind shall not die of that.
            execution = self._outputs.here()
            if execution is self._outputs.newest:
                raise
            execution.close()
            return len(text)

    def flush(self):
        self.file().flush()

    def close(self):
        """Do no more than flush: the next execution needs the stream."""
        self.flush()

    def fileno(self):
        here = self._outputs.here()
        return self._index + 1 if here is self._outputs.newest else here.files[self._index].fileno()

    def reconfigure(self, **settings):
        """Reconfigure the file of this execution."""
        self.file().reconfigure(**settings)

    def isatty(self):
        return False

    def writable(self):
        return True


class BinaryStream(io.BufferedIOBase):
    """sys.stdout.buffer: bytes, in order with the text of its stream."""

    mode = "wb"

    def __init__(self, text):
        self.name = text.name
        self._text = text

    @property
    def raw(self):
        return self._text.file().buffer.raw

    def write(self, data):
        file = self._text.file()
        file.flush()
        return file.buffer.write(data)

    def flush(self):
        self._text.flush()

    def close(self):
        """Do no more than flush: the text stream needs it."""
        self.flush()

    def fileno(self):
        return self._text.fileno()

    def writable(self):
        return True


def enter(execution):
    """Make what runs in this context from now on belong to the execution."""
    _execution.set(execution)


def _above_standard(fd):
    """Return the file descriptor as one that is not 0, 1 or 2, which it can be where user code has closed those."""
    if fd > 2:
        return fd
    moved = fcntl(fd, F_DUPFD_CLOEXEC, 3)
    close(fd)
    return moved


def _inheriting(function):
    """Return the function as one that runs, in another thread, for the execution that runs now."""
    execution = _execution.get(None)

    def run(*args, **kwargs):
        _execution.set(execution)
        return function(*args, **kwargs)

    return run if execution else function


def inherit_in_threads():
    """Have threads print for the execution that started them, and those of a pool for the one that submitted."""
    start, start_joinable = _thread.start_new_thread, _thread.start_joinable_thread
    submit = concurrent.futures.thread.ThreadPoolExecutor.submit

    def start_new_thread(function, args, *kwargs):
        return start(_inheriting(function), args, *kwargs)

    def start_joinable_thread(function, *args, **kwargs):
        return start_joinable(_inheriting(function), *args, **kwargs)

    def submit_inheriting(self, function, /, *args, **kwargs):
        return submit(self, _inheriting(function), *args, **kwargs)

    _thread.start_new_thread = _thread.start_new = start_new_thread
    _thread.start_joinable_thread = threading._start_joinable_thread = start_joinable_thread
    concurrent.futures.thread.ThreadPoolExecutor.submit = submit_inheriting


_nowhere = open("/dev/null", "w")
