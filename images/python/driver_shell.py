"""IPython's shell, with results and errors as data instead of text on a terminal."""

import re
import sys
import traceback
import warnings
from asyncio import CancelledError
from importlib import invalidate_caches
from os import environ, stat
from os.path import dirname
from site import addsitedir, getusersitepackages

from IPython.core.autocall import ExitAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.events import EventManager, available_events
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type, default
from traitlets.config import Config

from driver_results import register

_HERE = dirname(__file__) + "/"
PIP_DOWNLOADS = re.compile(r"\bpip3?\b.*\b(install|download)\b").search
NO_NETWORK = """\
hint: this context has no network, so pip cannot reach a package index. Whoever operates the server can give contexts
the network "internet" (cubby serve --network internet), or an image with the package (cubby images add).
"""


def _name_of(kind):
    """Return the name of a class of exceptions, whatever the class of the class makes of it."""
    return type.__dict__["__name__"].__get__(kind)


class Error:
    """An exception as the frame of an error tells it. Exceptions whose own methods raise are survived."""

    def __init__(self, kind, value, lines=None):
        self.name = _name_of(kind)
        try:
            self.value = str(value)
        except Exception:
            self.value = f"<{self.name} whose __str__ raises>"
        self.traceback = f"{self.name}: {self.value}" if lines is None else "\n".join(lines)


class Exit(ExitAutocall):
    """What exit and quit are: they end the cell, as sys.exit does."""

    def __call__(self, code=None):
        raise SystemExit if code is None else SystemExit(code)


class ResultHook(DisplayHook):
    """What the value of a cell's last expression is given to."""

    def write_output_prompt(self):
        """Write nothing: there is no terminal."""

    def write_format_data(self, format_dict, md_dict=None):
        self.shell.publish(format_dict, main=True)

    def log_output(self, format_dict):
        """Keep no second copy of every result."""

    def finish_displayhook(self):
        self._is_active = False


class Publisher(DisplayPublisher):
    """What display() gives its bundles to. Updates of earlier displays are ignored, as E2B ignores them."""

    def publish(self, data, metadata=None, *, transient=None, update=False, **kwargs):
        if not update:
            self.shell.publish(data, main=False)

    def clear_output(self, wait=False):
        """Clear nothing: what was sent was sent."""


class Events(EventManager):
    """IPython's callbacks. An interrupt in one ends the cell; IPython would show it, and then run the cell."""

    def trigger(self, event, *args, **kwargs):
        for callback in self.callbacks[event][:]:
            try:
                callback(*args, **kwargs)
            except Exception:
                print(f"Error in callback {callback} (for {event}):")
                self.shell.showtraceback()


class Shell(InteractiveShell):
    """The shell. The kernel sets publish, which sends a result, and reads error after each cell."""

    displayhook_class = Type(ResultHook)
    display_pub_class = Type(Publisher)

    def __init__(self, **kwargs):
        self.publish = None
        self.cancelled = lambda: False  # whether the cell was cancelled in an await, for an interrupt
        self.error = None
        super().__init__(config=Config(
            InteractiveShell={"colors": "nocolor", "display_page": True},
            HistoryManager={"enabled": False},  # no database: neither its file nor its thread
            PlainTextFormatter={"max_seq_length": 0},
        ), **kwargs)
        register(self.display_formatter)
        warnings.filterwarnings("ignore", "To exit: use")  # IPython's word on SystemExit, for a terminal
        warnings.filterwarnings("ignore", "`make_tokens_by_line`")  # and on U+2028, which ends no line in Python
        self._modules = dict(sys.modules)
        self._import = __builtins__["__import__"]
        self._user_site, self._user_site_stamp = getusersitepackages(), None
        system_site = next((i for i, path in enumerate(sys.path) if path.endswith("dist-packages")), len(sys.path))
        sys.path.insert(system_site, self._user_site)

    def init_events(self):
        self.events = Events(self, available_events)
        self.events.register("pre_execute", self._clear_warning_registry)

    async def run(self, code):
        """Run a cell and leave its error, if any, in self.error. Whatever is raised was not the cell's own doing."""
        self.error = result = failed = None
        self.notice_installs()
        try:
            cell = self.transform_cell(code)
        except Exception:
            cell, failed = code, sys.exc_info()
        try:
            result = await self.run_cell_async(
                code, store_history=True, transformed_cell=cell, preprocessing_exc_tuple=failed)
        finally:
            self.events.trigger("post_execute")  # shows the figures that are still open
            self.events.trigger("post_run_cell", result)
            flush(sys.stdout, sys.stderr)
        raised = result.error_before_exec or result.error_in_exec
        if raised and self.error is None:
            self.error = Error(type(raised), raised)

    def repair(self):
        """Put right what a cell has taken away that the next one cannot run without."""
        if sys.modules.get("sys") is not sys:
            sys.modules.update(self._modules)
        if not callable(__builtins__["__import__"]):
            __builtins__["__import__"] = self._import
        if "_oh" not in self.user_ns:
            self.user_ns.setdefault("__name__", "__main__")
            self.init_user_ns()

    # Errors

    def showtraceback(self, exc_tuple=None, *args, **kwargs):
        kind, value, tb = exc_tuple or sys.exc_info()
        if isinstance(value, CancelledError) and self.cancelled():
            exc_tuple = kind, value, tb = KeyboardInterrupt, KeyboardInterrupt(), tb
        if isinstance(value, KeyboardInterrupt):
            _cut_handler(tb)
        try:
            if _holds_group(value):  # IPython cannot format these yet, and would print them
                lines = traceback.format_exception(kind, value, _without_shell(tb))
                self.error = self.error or Error(kind, value, ["".join(lines)])
                return
            super().showtraceback(exc_tuple, *args, **kwargs)
        except Exception:  # while formatting: hostile classes, 100 000 chained exceptions
            pass
        if value is not None:
            self.error = self.error or Error(kind, value)

    def _showtraceback(self, etype, evalue, stb):
        self.error = self.error or Error(etype, evalue, stb)

    def show_usage_error(self, exc):
        self.error = self.error or Error(type(exc), exc)

    def _format_exception_for_storage(self, exception, **kwargs):
        # IPython would format each traceback a second time, for its history.
        error = self.error or Error(type(exception), exception)
        return {"ename": error.name, "evalue": error.value, "traceback": [error.traceback]}

    def enable_gui(self, gui=None):
        """Do nothing: %matplotlib inline asks for no event loop, and others have no screen."""

    @default("exiter")
    def _make_exiter(self):
        return Exit(self)

    # Commands

    def system(self, cmd):
        """Run a command (!cmd) in the kernel's process group, which an interrupt reaches, on its own output."""
        from subprocess import CalledProcessError, call

        cmd = self.var_expand(cmd, depth=1)
        self.user_ns["_exit_code"] = code = call(cmd, shell=True, executable=environ.get("SHELL"))
        self.notice_installs()
        if code and PIP_DOWNLOADS(cmd) and not has_network():
            sys.stderr.write(NO_NETWORK)
        if code and self.system_raise_on_error:
            raise CalledProcessError(code, cmd)

    def getoutput(self, cmd, split=True, depth=0):
        """Return a command's output (x = !cmd). Unlike IPython's, it lets an interrupt end the cell."""
        from subprocess import PIPE, STDOUT, CalledProcessError, run

        from IPython.utils.text import LSString, SList

        cmd = self.var_expand(cmd, depth=depth + 1)
        done = run(cmd, shell=True, executable=environ.get("SHELL"), stdout=PIPE, stderr=STDOUT, check=False)
        self.user_ns["_exit_code"] = done.returncode
        if done.returncode and self.system_raise_on_error:
            raise CalledProcessError(done.returncode, cmd)
        text = done.stdout.decode(errors="replace")
        return SList(text.splitlines()) if split else LSString(text)

    def notice_installs(self):
        """Make what pip has put into ~/.local importable, without a restart."""
        try:
            stamp = stat(self._user_site).st_mtime_ns
        except OSError:
            return
        if stamp != self._user_site_stamp:
            self._user_site_stamp = stamp
            addsitedir(self._user_site)
            invalidate_caches()


def flush(*streams):
    """Flush streams that user code may have put in the place of ours: what a cell prints belongs to that cell."""
    for stream in streams:
        try:
            stream.flush()
        except Exception:
            pass


def has_network():
    """Report whether there is a route to anywhere."""
    try:
        with open("/proc/net/route") as v4, open("/proc/net/ipv6_route") as v6:
            return len(v4.readlines()) > 1 or any(not line.endswith(" lo\n") for line in v6)
    except OSError:
        return True


def _holds_group(value):
    seen = set()
    while value is not None and id(value) not in seen:
        if isinstance(value, BaseExceptionGroup):
            return True
        seen.add(id(value))
        value = value.__cause__ or value.__context__
    return False


def _without_shell(tb):
    """Return the traceback from the user's own frame on."""
    while tb is not None and tb.tb_frame.f_globals.get("__name__", "").startswith("IPython."):
        tb = tb.tb_next
    return tb


def _cut_handler(tb):
    """End a traceback before the frame of the driver's own signal handler."""
    while tb is not None and tb.tb_next is not None:
        if tb.tb_next.tb_frame.f_code.co_filename.startswith(_HERE):
            tb.tb_next = None
        tb = tb.tb_next
