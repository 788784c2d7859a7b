"""What is changed in packages as user code imports them, so that a context that does without them is spared of them."""

import os
import sys
from contextlib import suppress
from functools import wraps
from importlib.machinery import PathFinder

from IPython.core.display_functions import display

FONTS = "/usr/local/share/matplotlib/"  # where the image has the list of its fonts


class Changes:
    """A finder of modules that hands some of them, once they have been executed, to a function."""

    def __init__(self, changes):
        self._changes = changes

    def find_spec(self, name, path=None, target=None):
        change = self._changes.get(name)
        if change is None:
            return None  # the next finder is asked
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_change(module):
                execute(module)
                with suppress(Exception):  # a module of the user's may have that name
                    change(module)

            spec.loader.exec_module = execute_and_change
        return spec


def _display_saved(pil_image):
    """Have a picture that is saved under a name displayed as well, as E2B has it."""
    save = pil_image.Image.save

    @wraps(save)
    def save_and_display(self, fp, *args, **kwargs):
        save(self, fp, *args, **kwargs)
        if isinstance(fp, str):
            display(self)

    pil_image.Image.save = save_and_display


def _seed_fonts(matplotlib):
    """Spare matplotlib the search for fonts, which takes seconds: its cache is empty in a new container."""
    with suppress(OSError):  # it is there already, or there is no room: matplotlib will search
        cache = matplotlib.get_cachedir()
        for name in os.listdir(FONTS):
            if name.startswith("fontlist"):
                with open(FONTS + name, "rb") as ours, open(os.path.join(cache, name), "xb") as theirs:
                    theirs.write(ours.read())


def change_imports():
    """Change packages from now on, as they are imported."""
    sys.meta_path.insert(0, Changes({"PIL.Image": _display_saved, "matplotlib": _seed_fonts}))
