"""The kernel: answers the supervisor's requests, one at a time."""

import sys
from asyncio import CancelledError
from contextlib import contextmanager
from contextvars import Context
from os import _exit, chdir, environ, getcwd, makedirs
from os.path import abspath, join
from platform import python_version
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

from driver_channel import Channel, die, fitting, strict
from driver_imports import change_imports
from driver_interrupts import Interrupts, let_through_groups, let_through_os_system, new_loop
from driver_output import Outputs, enter, inherit_in_threads
from driver_shell import Error, Shell, has_network

HOME = "/home/user"


class Kernel:
    """One interpreter with its state. Everything happens in callbacks of its loop, but for user code, which runs in
    one task a cell (driver_interrupts.py says why).
    """

    def __init__(self):
        self._loop = new_loop()
        self._interrupts = Interrupts(self._loop)
        self._interrupts.install()
        self._channel = self._interrupts.channel = Channel(self._interrupts)
        self._outputs = Outputs()
        inherit_in_threads()
        let_through_os_system()
        let_through_groups()
        change_imports()
        if not has_network():
            environ["PIP_RETRIES"] = "0"  # pip would wait for half a minute before it gives up
        self._shell = Shell.instance()
        self._shell.publish = self._publish
        self._shell.cancelled = lambda: self._interrupts.cancelled
        # All cells run in this context, so that the context variables that one sets are there in the next.
        self._context = Context()
        self._running = None  # the execution of which done has not been sent
        self._restore = {}  # what the environment was before it
        self._answers = {"setup": self._setup, "ping": self._ping, "execute": self._execute}

    def serve(self):
        """Answer requests until the supervisor is gone."""
        self._loop.add_reader(self._channel, self._read)
        self._channel.send(type="boot", version=python_version())
        while True:
            try:
                self._loop.run_forever()  # returns when user code stops the loop
            except (KeyboardInterrupt, SystemExit):
                pass  # raised by a task, which has ended; what waits in the loop goes on
            except BaseException as error:
                die(f"event loop: {error!r}")

    def _read(self):
        if self._channel.forked:
            return  # a child that waits in the loop hears of what its parent receives
        self._channel.receiving = True
        with more_files():
            for request, fds in self._channel.receive():
                try:
                    self._answers[request["op"]](request, fds)
                except Exception as error:
                    die(f"{request.get('op')}: {error!r}")
        self._channel.receiving = False

    def _ping(self, request, fds):
        self._interrupts.forget()
        self._channel.send(type="pong")

    def _setup(self, request, fds):
        try:
            enter_directory(request.get("cwd") or HOME)
            set_variables(request.get("env") or {})
        except (OSError, ValueError, TypeError) as error:
            self._channel.send(type="failed", value=str(error))
            return
        self._shell.user_ns["_dh"][:] = [getcwd()]
        self._channel.send(type="ready")

    def _execute(self, request, fds):
        if len(fds) != 2:
            die("an execute came without its pipes: no file descriptor is left for them")
        execution = self._running = self._outputs.begin(*fds)
        self._shell.repair()
        self._interrupts.install()
        self._channel.send(type="started", count=self._shell.execution_count)
        try:
            self._restore = set_variables(request.get("env") or {})
        except (OSError, ValueError, TypeError) as error:
            self._finish(Error(type(error), error))
            return
        self._context.run(enter, execution)
        cell = self._loop.create_task(self._shell.run(request.get("code", "")), context=self._context)
        cell.add_done_callback(self._ended)
        self._interrupts.begin(cell)

    def _ended(self, cell):
        """Finish the execution of a task that has ended: by itself, cancelled, or by what its cell did to the driver."""
        try:
            error = self._shell.error
            if cell.cancelled():
                kind = KeyboardInterrupt if self._interrupts.cancelled else CancelledError
                error = error or Error(kind, "")
            elif raised := cell.exception():
                error = error or Error(type(raised), raised)
            self._finish(error)
        except Exception as error:  # user code has broken the driver; unsaid, nobody would ever hear of the end
            die(f"end of the execution: {error!r}")

    def _finish(self, error):
        self._interrupts.end()
        self._outputs.flush()
        if self._channel.forked:
            leave_child(error)
        replace_variables(self._restore)
        self._restore = {}
        self._running = None
        if error:
            self._channel.send(type="error", name=error.name, value=error.value, traceback=error.traceback)
        self._channel.send(type="done")

    def _publish(self, bundle, main):
        here = self._outputs.here()
        if here is not self._running:
            return  # displayed by a thread or task of an execution that is over
        here.flush()
        if here is self._outputs.newest:
            self._outputs.flush()
        self._channel.send(type="result", main=main, data=fitting(strict(bundle)))


def enter_directory(path):
    """Change to a directory. A missing one under HOME is made; the error of another is for the user to read."""
    path = abspath(join(HOME, path))
    try:
        if (path + "/").startswith(HOME + "/"):
            makedirs(path, exist_ok=True)
        chdir(path)
    except (FileExistsError, NotADirectoryError):
        raise OSError(f"not a directory: {path}") from None
    except RecursionError:
        raise OSError(f"too many directories to make: {path}") from None
    except FileNotFoundError:
        raise OSError(f"no such directory: {path}") from None
    except OSError as error:
        raise OSError(f"{error.strerror.lower()}: {path}") from None


@contextmanager
def more_files():
    """Let the driver have file descriptors where user code, held by the soft limit, has used up its own."""
    soft, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        setrlimit(RLIMIT_NOFILE, (soft, hard))


def set_variables(variables):
    """Set environment variables, all or none, and return what they were before: None where there was none."""
    before = {}
    try:
        for name, value in variables.items():
            was = environ.get(name)
            environ[name] = value
            before[name] = was
    except (OSError, ValueError, TypeError) as error:
        replace_variables(before)
        raise ValueError(f"environment variable {name!r}: {error}") from None
    return before


def replace_variables(variables):
    """Set environment variables to values of which None means that there is no such variable."""
    for name, value in variables.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value


def leave_child(error):
    """End a process that user code has forked and that has come to the end of its cell."""
    if error:
        sys.__stderr__.write(error.traceback + "\n")
        sys.__stderr__.flush()
    _exit(1 if error else 0)
