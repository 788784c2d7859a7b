"""Rich results: what E2B's clients show beside a value's text. Nothing is imported before user code has done so."""

import sys
from datetime import timedelta

from IPython.core.formatters import BaseFormatter, JSONFormatter
from traitlets import ObjectName, Unicode

from driver_channel import MAX_BUNDLE
from driver_charts import chart

MAX_LEAVES = 250_000  # numbers and texts that are told as data; of what has more the text and the HTML have to do


class DataFormatter(BaseFormatter):
    """e2b/data: data frames by column, and what _repr_e2b_data_ of other objects returns."""

    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, list, str)

    def __call__(self, obj):
        data = super().__call__(obj)
        if data is None and _is(obj, "pandas", "DataFrame"):
            data = _or(None, _columns, obj)
        return data


class ChartFormatter(BaseFormatter):
    """e2b/chart: what matplotlib's figures show, and what _repr_e2b_chart_ of other objects returns."""

    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, obj):
        data = super().__call__(obj)
        if data is None and _is(obj, "matplotlib.figure", "Figure"):
            data = _or({}, _chart, obj)
        return data


class ListsAndDicts(JSONFormatter):
    """application/json: also of lists and dicts, where what they hold is JSON, numpy's values included."""

    def __call__(self, obj):
        data = super().__call__(obj)
        if data is None and issubclass(type(obj), (list, dict)):
            data = _or(None, _json, obj)
        return data


def register(formatter):
    """Add these formatters to the shell's. The order is that of importance: charts are read from figures last."""
    for kind in (ListsAndDicts, DataFormatter, ChartFormatter):
        added = kind(parent=formatter)
        formatter.formatters[added.format_type] = added


def _is(obj, module, name):
    """Report whether obj is of a class of a module that user code has imported, and may have changed."""
    try:
        return issubclass(type(obj), getattr(sys.modules[module], name))
    except Exception:
        return False


def _or(default, function, obj):
    """Return what the function makes of obj, or the default: a value that cannot be told as data still has its text."""
    try:
        return function(obj)
    except Exception:
        return default


def _json(obj):
    from orjson import OPT_NON_STR_KEYS, OPT_SERIALIZE_NUMPY, dumps, loads

    _Leaves().count(obj)
    text = dumps(obj, option=OPT_NON_STR_KEYS | OPT_SERIALIZE_NUMPY)
    return loads(text) if len(text) <= MAX_BUNDLE else None


def _chart(figure):
    return _plain(chart(figure))


def _columns(frame):
    """Return a data frame as df.to_dict(orient="list") does, without its warning of columns of the same name."""
    leaves = _Leaves()
    leaves.take(frame.size)
    columns = [frame.iloc[:, i].tolist() for i in range(frame.shape[1])]
    for cells in columns:
        for cell in cells:
            leaves.count(cell)
    return {_key(name): [_plain(cell) for cell in cells] for name, cells in zip(frame.columns, columns)}


class _Leaves:
    """Bounds what is told as data before it is unfolded, which takes many times the memory."""

    def __init__(self):
        self._left = MAX_LEAVES

    def take(self, number):
        self._left -= number
        if self._left < 0:
            raise ValueError("too much to be told as data")

    def count(self, value):
        """Take what a value has in it. One that holds itself has too much."""
        if isinstance(value, dict):
            for item in value.values():
                self.count(item)
        elif isinstance(value, (list, tuple, set, frozenset)):
            self.take(len(value))
            for item in value:
                self.count(item)
        elif hasattr(value, "tolist"):
            self.take(getattr(value, "size", 1))


def _key(name):
    if isinstance(name, str):
        return name
    return name.isoformat() if hasattr(name, "isoformat") else str(name)


def _plain(value):
    """Return a cell as JSON has it. NaN and infinities become null with those of other results."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas': the missing value, and the missing time
        return None
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays; its times would become numbers
        return _plain((value.astype(str) if value.dtype.kind in "mM" else value).tolist())
    if hasattr(value, "isoformat") and not isinstance(value, timedelta):
        return value.isoformat()
    return str(value)
