"""Runs a program, and leaves without tearing the interpreter down: python run.py FILE [ARGUMENT …].

The SDK sends its requests from native threads that nobody stops. One that asks for the interpreter while that is torn down
aborts the process, after everything has passed (PyO3/pyo3#4874).
"""

import os
import runpy
import sys
import traceback


def run(file):
    """Runs the file as a program and returns its exit status."""
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return int(ended.code or 0)
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    status = run(sys.argv[0])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
