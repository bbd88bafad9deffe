"""The picture of scores against parameters: a PNG file with the same bytes for the same facts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from math import log10
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.optimize import isotonic_regression

from distillery.report import cells
from distillery.report.rows import Row, main_metric, rows, teachers
from distillery.report.table import unit
from distillery.results import Result

COLOURS = ("#0077BB", "#EE7733", "#117733", "#AA4499", "#882255")  # one per teacher
INK, GREY, PALE = "#222222", "#666666", "#BBBBBB"
DASHED = (0, (5, 4))
GAP = 0.025  # least distance between two students, as a part of the x-axis

Point = tuple[float, float]  # log10 of parameters, score


@dataclass
class Column:
    """A student: teacher -> its point, None for labels only. All are drawn `shift` to the right, so
    that students of nearly the same size don't overlap."""

    name: str
    points: dict[str | None, Point] = field(default_factory=dict)
    shift: float = 0.0

    @property
    def x(self) -> float:
        return [*self.points.values()][-1][0]


def scores(found: Sequence[Result], path: Path) -> None:
    """Draws a task's results, one at least. Models of unknown size are left out."""
    (metric, n), lines = main_metric(found), rows(found)
    students, others = columns(lines, metric), _others(lines)
    points = [_point(result, metric) for result in others.values()]
    points += [point for column in students for point in column.points.values()]
    with picture(path, 8) as figure:
        axes = figure.add_subplot()
        low, high = _limits([x for x, _ in points], 0.12, 0.12, least=0.7)
        spread(students, GAP * (high - low))
        axes.set(xscale="log", xlim=(10**low, 10**high))
        axes.set_ylim(_limits([y for _, y in points], 0.12, 0.4, least=0.01))  # room for names
        _draw_others(axes, others, metric)
        styles = dict(zip(teachers(found), cycle(zip(COLOURS, "oDs^v", strict=True)), strict=False))
        for column in students:
            _draw_column(axes, column, styles)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(_count))
        decorate(axes)
        moved = any(abs(column.shift) > 1e-9 for column in students)
        note = "; students of nearly the same size are moved apart" if moved else ""
        axes.set(xlabel=f"parameters (log scale{note})", ylabel=f"{metric}{unit([metric])}")
        title = f"{found[0].task}: {metric} against parameters ({n:,} test rows)"
        axes.set_title(title, loc="left", fontsize=12, color=INK)
        handles, labels = axes.get_legend_handles_labels()
        if legend := dict(zip(labels, handles, strict=True)):
            figure.legend(
                legend.values(), legend, loc="outside lower center", ncols=4, frameon=False
            )


def _point(result: Result, metric: str) -> Point:
    return log10(result.parameters or 1), cells.scaled(result.metrics[metric], metric)


def columns(lines: Sequence[Row], metric: str) -> list[Column]:
    """A column per student, from small to large."""
    found: dict[str, Column] = {}
    for row in lines:
        for teacher, result in ((None, row.single), (row.teacher, row.distilled)):
            if row.stage == "student" and result and result.parameters:
                column = found.setdefault(row.title, Column(row.title.strip("`")))
                column.points[teacher] = _point(result, metric)
    return sorted(found.values(), key=lambda column: column.x)


def _others(lines: Sequence[Row]) -> dict[str, Result]:
    """Teachers and baselines, by title."""
    found = {row.title: row.single for row in lines if row.stage != "student"}
    return {title: result for title, result in found.items() if result and result.parameters}


def _limits(values: Sequence[float], below: float, above: float, least: float) -> Point:
    """The range of the values, at least `least`, with room below and above as parts of it."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    extra = max(0.0, least - (high - low)) / 2
    span = max(high - low, least)
    return low - extra - below * span, high + extra + above * span


def spread(students: Sequence[Column], gap: float) -> None:
    """Moves columns (sorted by x) at least `gap` apart, as little as can be (least squares)."""
    xs = np.array([column.x for column in students])
    room = gap * np.arange(len(students))
    places = isotonic_regression(xs - room).x + room if students else xs
    for column, place in zip(students, places, strict=True):
        column.shift = float(place) - column.x


def _draw_others(axes: Axes, others: Mapping[str, Result], metric: str) -> None:
    """Stars for teachers; for baselines a square and a line, the highest one's name above it."""
    side = "bottom"
    for title, result in sorted(others.items(), key=lambda item: -item[1].metrics[metric]):
        x, y = 10 ** _point(result, metric)[0], _point(result, metric)[1]
        if result.stage == "teacher":
            axes.plot(x, y, "*", color=INK, markersize=16, linestyle="none", label="teacher")
            write(axes, str(result.teacher), (x, y), (0, 9), ha="center")
            continue
        label = "without a neural network"
        axes.plot(x, y, "s", color=GREY, markersize=6, linestyle="none", label=label)
        axes.axhline(y, color=GREY, linestyle=DASHED, linewidth=1, zorder=1)
        style: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "color": GREY}
        offset = (0, 3 if side == "bottom" else -3)
        text = f"{title} {cells.score(result, metric)}"
        write(axes, text, (0.99, y), offset, ha="right", va=side, fontsize=8, **style)
        side = "top"


def _draw_column(axes: Axes, column: Column, styles: Mapping[str, tuple[str, str]]) -> None:
    """A ring for labels only, an arrow from it to each distilled student."""
    at = {teacher: (10 ** (x + column.shift), y) for teacher, (x, y) in column.points.items()}
    for teacher, place in at.items():
        if teacher is None:
            ring = axes.plot(*place, "o", color=GREY, markersize=9, linestyle="none", zorder=3)[0]
            ring.set(markerfacecolor="white", markeredgewidth=1.6, label="labels only")
            continue
        colour, marker = styles[teacher]
        if None in at:
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 4}
            axes.annotate("", place, at[None], arrowprops=arrow | {"shrinkB": 3})
        label = f"distilled from {teacher}"
        dot = axes.plot(*place, marker, color=colour, linestyle="none", label=label)[0]
        dot.set(markersize=6.5, zorder=4)
    top = max(at.values(), key=lambda place: place[1])
    write(axes, column.name, top, (0, 9), rotation=90, ha="center")


@contextmanager
def picture(path: Path, width: float) -> Iterator[Figure]:
    """A figure in matplotlib's default style, saved as PNG at the end."""
    with matplotlib.style.context("default", after_reset=True):
        figure = Figure(figsize=(width, 5), dpi=150, layout="constrained")
        yield figure
        figure.savefig(path, format="png", metadata={"Software": None})


def decorate(axes: Axes) -> None:
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def write(axes: Axes, text: str, at: Point, offset: Point, **style: Any) -> None:
    """Text beside the point `at`; offset: in points."""
    style = {"fontsize": 9, "color": INK, **style}
    drawn = axes.annotate(text, at, xytext=offset, textcoords="offset points", **style)
    drawn.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _count(parameters: float, _: int) -> str:
    """`2M`, below a million `500k`."""
    return f"{parameters / 1e6:g}M" if parameters >= 1e6 else f"{parameters / 1e3:g}k"
