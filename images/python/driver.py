"""The Python driver: IPython's shell, spoken to over file descriptor 3 (orchestrator/supervisor/doc.go).

    driver.py             boots
    driver_kernel.py      answers requests, one at a time
    driver_channel.py     frames on fd 3
    driver_shell.py       IPython's InteractiveShell, its results and errors turned into frames
    driver_results.py     results as data: data frames, lists and dicts
    driver_charts.py      what figures show, as data
    driver_imports.py     what is changed in packages as user code imports them
    driver_output.py      an execution's own stdout and stderr, also for threads that outlive it
    driver_interrupts.py  SIGINT, raised where user code runs and nowhere else

User code shares the process, so it can break anything. The modules import the functions that they need by name, which
keeps references that a user who replaces json.dumps or clears sys.modules does not reach; what the next execution
cannot do without is put right before it. Where that is not enough, this kernel dies and says so: nothing else does.
"""

import gc
import sys


def main():
    """Boot, then serve until the supervisor closes the channel."""
    gc.disable()  # booting makes no garbage, and passes over what it imports cost a fifth of its time
    # The interpreter runs isolated (-I): a package in the user's ~/.local must not stand in for one that the driver
    # is made of, or a context whose pip has upgraded IPython could never boot again. Hence no script directory either.
    sys.path.insert(0, "/opt/cubby")
    from driver_kernel import Kernel

    kernel = Kernel()
    sys.path[0] = ""  # user code imports from its working directory, as in IPython
    gc.freeze()
    gc.enable()
    kernel.serve()


if __name__ == "__main__":
    main()
