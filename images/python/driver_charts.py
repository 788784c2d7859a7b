"""Charts: what a matplotlib figure shows, as data. The library e2b_charts reads the axes; what it reads wrongly is read
here instead: it knows no error bars, takes bars of equal length for horizontal ones, names bars by the first ticks there
are, and loses boxes that are equal, alone or drawn as lines.
"""

from contextlib import contextmanager
from warnings import catch_warnings, simplefilter

MAX_POINTS = 100_000  # of a figure; more take seconds to read, and more memory than a context may have


def chart(figure):
    """Return the chart of a figure, {} of a blank or very large one. What the library cannot read it raises."""
    from e2b_charts.main import is_figure_blank

    axes = figure.get_axes()
    if is_figure_blank(axes) or sum(_points(ax) for ax in axes) > MAX_POINTS:
        return {}
    with catch_warnings():
        simplefilter("ignore")  # of matplotlib's parts on their way out, which are not the user's
        charts = [_read(ax) for ax in axes]
    if len(charts) == 1:
        return charts[0]
    return {"type": "superchart", "title": figure.get_suptitle(), "elements": charts}


def _points(ax):
    lines, collections = (len(line.get_xdata()) for line in ax.lines), (len(c.get_offsets()) for c in ax.collections)
    return len(ax.patches) + sum(lines) + sum(collections)


def _read(ax):
    from e2b_charts.charts.base import ChartType
    from e2b_charts.main import _get_type_of_chart, get_chart_from_ax

    with _without_error_bars(ax):
        boxes = _boxes(ax)
        if boxes:
            found = _box_chart(ax, boxes)
        elif _get_type_of_chart(ax) == ChartType.BAR:
            found = _bar_chart(ax)
        else:
            found = get_chart_from_ax(ax)
        return found.model_dump()


@contextmanager
def _without_error_bars(ax):
    """Take error bars off the axes, but for the lines they are of, which get the names that the bars were given."""
    from matplotlib.container import ErrorbarContainer

    children, containers, renamed = ax._children, ax.containers, []
    hidden = set()
    for container in containers:
        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container
            hidden.update(caps, bars)
            if line is not None:
                renamed.append((line, line.get_label(), container.get_label()))
    ax._children = [child for child in children if child not in hidden]
    ax.containers = [each for each in containers if not isinstance(each, ErrorbarContainer)]
    try:
        for line, _, name in renamed:
            line.set_label(f"_child{ax._children.index(line)}" if name.startswith("_") else name)
        yield
    finally:
        ax._children, ax.containers = children, containers
        for line, name, _ in renamed:
            line.set_label(name)


def _bar_chart(ax):
    from e2b_charts.charts import BarChart
    from e2b_charts.charts.bars import BarData
    from matplotlib.container import BarContainer

    containers = [each for each in ax.containers if isinstance(each, BarContainer)]
    horizontal = bool(containers) and all(each.orientation == "horizontal" for each in containers)
    found, name = _two_dimensional(BarChart(), ax, horizontal)
    for i, container in enumerate(containers):
        group = container.get_label()
        if group.startswith("_container"):
            group = f"Group {i}"
        for bar in container:
            start, width, value = bar.get_x(), bar.get_width(), bar.get_height()
            if horizontal:
                start, width, value = bar.get_y(), bar.get_height(), bar.get_width()
            found.elements.append(BarData(label=name(start + width / 2), group=group, value=value))
    return found


def _two_dimensional(found, ax, horizontal):
    """Give a chart its title and labels, and return with it what names a place on the axis that is not of values."""
    from e2b_charts.charts.base import Chart2D

    Chart2D._extract_info(found, ax)
    if horizontal:
        found._change_orientation()
    return found, _namer(ax.yaxis if horizontal else ax.xaxis)


def _namer(axis):
    """Return what names a place on an axis: the nearest tick where ticks have names, else the place itself."""
    from matplotlib.category import StrCategoryLocator
    from matplotlib.dates import DateLocator, num2date
    from matplotlib.ticker import FixedLocator

    locator = axis.get_major_locator()
    if isinstance(locator, DateLocator):
        return lambda place: num2date(place).isoformat()
    if isinstance(locator, (FixedLocator, StrCategoryLocator)):
        ticks = [(tick, label.get_text()) for tick, label in zip(axis.get_ticklocs(), axis.get_ticklabels())]
        if ticks:
            return lambda place: min(ticks, key=lambda tick: abs(tick[0] - place))[1]
    return lambda place: f"{place:.10g}"


def _boxes(ax):
    """Return the boxes of a box plot, each with the lines that were drawn after it, or none if this is no box plot."""
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    boxes = []
    for child in ax._children:
        if isinstance(child, Text):
            continue
        if outline := _outline(child):
            boxes.append((outline, []))
        elif boxes and isinstance(child, Line2D):
            boxes[-1][1].append(child)
        else:
            return []
    # Two whiskers and a median at least. A square that somebody has plotted comes without them.
    return boxes if all(sum(map(_is_straight, lines)) >= 3 for _, lines in boxes) else []


def _outline(artist):
    """Return the bounds of a box as ((left, right), (bottom, top)), or None of what is no box."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import PathPatch

    if isinstance(artist, PathPatch):
        points = [tuple(map(float, point)) for point in artist.get_path().vertices]
    elif isinstance(artist, Line2D) and len(artist.get_xdata()) >= 5:
        points = _points_of(artist)
        if points[0] != points[-1]:
            return None
    else:
        return None
    xs, ys = zip(*points)
    return (min(xs), max(xs)), (min(ys), max(ys))


def _points_of(line):
    return [tuple(map(float, point)) for point in zip(line.get_xdata(orig=False), line.get_ydata(orig=False))]


def _is_straight(line):
    return len(line.get_xdata()) == 2 and line.get_linestyle() != "None"


def _box_chart(ax, boxes):
    from e2b_charts.charts import BoxAndWhiskerChart
    from e2b_charts.charts.bars import BoxAndWhiskerData

    # What lies across the values, caps and medians, is centred on its box.
    horizontal = any(
        ys[0] == ys[1] and abs(sum(xs) - sum(outline[0])) > 1e-6 * abs(xs[1] - xs[0])
        for outline, lines in boxes for line in lines if _is_straight(line) for xs, ys in [zip(*_points_of(line))])
    found, name = _two_dimensional(BoxAndWhiskerChart(), ax, horizontal)
    along, across = (0, 1) if horizontal else (1, 0)
    for outline, lines in boxes:
        straight = [tuple(zip(*_points_of(line))) for line in lines if _is_straight(line)]
        fliers = [_points_of(line) for line in lines if line.get_linestyle() == "None"]
        ends = [value for line in straight for value in line[along]]
        level = [line for line in straight if line[along][0] == line[along][1]]
        median = max(level, key=lambda line: abs(line[across][1] - line[across][0]))  # caps are narrower
        found.elements.append(BoxAndWhiskerData(
            label=name(sum(outline[across]) / 2),
            min=min(ends), first_quartile=outline[along][0], median=median[along][0],
            third_quartile=outline[along][1], max=max(ends),
            outliers=[point[along] for point in fliers[-1]] if fliers else []))
    return found
