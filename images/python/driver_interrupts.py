"""SIGINT, as the supervisor sends it to interrupt an execution."""

import asyncio
import os
import signal
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from asyncio import current_task
from contextlib import suppress
from signal import SIG_UNBLOCK, SIGINT, pthread_kill, pthread_sigmask
from subprocess import call
from sys import _getframe
from time import sleep

from IPython.lib import pretty


class Interrupts:
    """Turns SIGINT into KeyboardInterrupt while user code runs. User code runs in asyncio tasks and nowhere else; the
    driver itself runs in callbacks of the loop, so that it is never interrupted halfway.
    """

    def __init__(self, loop):
        self.channel = None  # set once, before the first signal can matter
        self.cell = None  # the task of the running execution
        self.cancelled = False  # the running cell was suspended in an await, and has been cancelled
        self.early = False  # a signal came for an execution whose request has not been taken in yet
        self._loop = loop
        self._held = 0
        self._pending = False
        self._main = get_ident()
        self._signal = signal.signal
        self._repeats = []  # locks that are held as long as a signal is to be repeated
        sys.unraisablehook = self._swallowed

    def install(self):
        """Take SIGINT, whatever user code or whoever started the process has made of it."""
        self._signal(SIGINT, self._interrupt)
        pthread_sigmask(SIG_UNBLOCK, (SIGINT,))

    def begin(self, cell):
        """Interrupt this task from now on, and at once if the signal came before it."""
        self.cancelled, self.cell = False, cell
        if self.early:
            self.early = False
            self._cancel(cell)

    def end(self):
        """Interrupt nothing any more."""
        while self._repeats:
            self._repeats.pop().acquire()  # or the signal would hit whatever comes next
        self.cell, self._pending = None, False

    def forget(self):
        """Forget an early signal. The supervisor's ping says that the last signal has been seen."""
        self.early = False

    def _interrupt(self, signum=SIGINT, frame=None):
        if self._held:
            self._pending = True
            return
        task = current_task(self._loop)
        if task is not None and not _inside(task, frame or _getframe()):
            task = None  # at the task's edges, where asyncio would lose what it is doing to it
        if self.cell is None:
            # Idle, and nobody to interrupt; but a request that is on its way may be the one that is meant.
            if not (self.channel.receiving or self.channel.waiting()):
                return
            self.early = True
        elif task is not self.cell:
            # The cell waits, for something or for its turn: cancelled only by the loop, it could run on before that.
            self._cancel(self.cell)
            self._loop.call_soon_threadsafe(_wake)  # which may be asleep in select
        if task is not None:  # the cell, or a task that an earlier one has left behind and that blocks the loop
            raise KeyboardInterrupt

    def _cancel(self, cell):
        if cell is self.cell and not cell.done():
            self.cancelled = True
            try:
                cell.cancel()
            except Exception:
                pass  # of a future of the user's own; the supervisor kills what does not end

    def _swallowed(self, unraisable):
        # What is raised in a finalizer or in the callback of a weak reference goes no further, and the cell runs on.
        if unraisable.exc_type is not KeyboardInterrupt or self.cell is None or get_ident() != self._main:
            sys.__unraisablehook__(unraisable)
            return
        repeat = allocate_lock()
        repeat.acquire()
        start_new_thread(self._repeat, (repeat,))
        self._repeats.append(repeat)

    def _repeat(self, repeat):
        sleep(0.001)  # for the finalizer to end
        pthread_kill(self._main, SIGINT)
        repeat.release()

    def __enter__(self):
        if get_ident() == self._main:  # Python runs signal handlers in the main thread only
            self._held += 1

    def __exit__(self, *exc):
        if get_ident() == self._main:
            self._held -= 1
            if self._pending and not self._held:
                self._pending = False
                self._interrupt()


def _wake():
    """Do nothing, in the loop."""


def _inside(task, frame):
    """Report whether the frame belongs to what the task's coroutine has called."""
    outermost = getattr(task.get_coro(), "cr_frame", None)
    while frame is not None and frame is not outermost:
        frame = frame.f_back
    return frame is not None


def let_through_os_system():
    """Have os.system let an interrupt through. The C library's ignores SIGINT for as long as its child runs."""

    def system(command):
        code = call(command, shell=True)
        return -code if code < 0 else code << 8  # the wait status

    os.system = system


def let_through_groups():
    """Have IPython's printer let an interrupt through that comes when it has begun a group and not queued it yet. It
    would raise an IndexError then, which would be told as the cell's, and the cell would run on.
    """

    class Groups(pretty.GroupQueue):
        def remove(self, group):
            with suppress(IndexError):
                super().remove(group)

    pretty.GroupQueue = Groups


def new_loop():
    """Return the loop that lives as long as the kernel, so that tasks go on between executions."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
