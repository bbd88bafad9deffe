"""The picture of a task: accuracy against parameters, from results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from distillery.report.cells import Result
from distillery.report.table import (
    BASELINES,
    all_students,
    find,
    main_metric,
    of_task,
    teachers,
)
from distillery.students import STUDENTS

# Paul Tol's "muted" scheme without its palest: distinct to colour-blind readers and on white; more
# of like kind for the students of BERT's shape.
COLOURS = (
    *("#CC6677", "#332288", "#117733", "#88CCEE"),
    *("#882255", "#44AA99", "#999933", "#AA4499"),
    *("#0077BB", "#EE7733", "#885500", "#BBAA22", "#555555"),
)
MARKERS = "oDs^v"  # one per teacher
INK, GREY = "#222222", "#666666"
GAP = 0.02  # least distance between two students, as a part of the x-axis
NAME = 0.14  # room that a name takes, likewise
HALO: list[AbstractPathEffect] = [withStroke(linewidth=2.5, foreground="white")]


@dataclass
class Column:
    """A student in the picture: `x` in log10 of a million parameters, scores in percent,
    `distilled` by teacher. `shift`: what the single student's x has more."""

    student: str
    colour: str
    x: float
    single: float | None
    distilled: dict[str, float]
    shift: float = 0.0

    @property
    def scores(self) -> list[float]:
        """All its scores."""
        return [*self.distilled.values(), *([] if self.single is None else [self.single])]


def plot(results: Mapping[str, Result], task: str, path: Path) -> None:
    """Write the task's picture to `path` as PNG, the same bytes for the same results.

    Models whose number of parameters is not known are left out. The task must have a result.
    """
    found = of_task(results, task)
    metric, n = main_metric(found)
    names = teachers(found)
    columns = _columns(found, metric, names)
    stars = {}  # teacher -> (x, percent)
    for name in names:
        result = find(found, stage="teacher", teacher=name)
        if result and result["parameters"]:
            stars[name] = (_x(result), 100 * result["metrics"][metric])
    baselines = [find(found, stage="baseline", baseline=name) for name in BASELINES]
    lines = {r["baseline"]: 100 * r["metrics"][metric] for r in baselines if r}
    squares = {r["baseline"]: _x(r) for r in baselines if r and r["parameters"]}

    with matplotlib.style.context("default", after_reset=True):
        figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        others = [*(x for x, _ in stars.values()), *squares.values()]
        low, high = _x_limits([c.x for c in columns] + others)
        moved = _spread(columns, GAP * (high - low))
        low, high = _x_limits([c.x for c in columns] + others)
        axes.set(xscale="log", xlim=(10**low, 10**high))
        sides = _sides(columns, NAME * (high - low))
        scores = [y for column in columns for y in column.scores]
        axes.set_ylim(_y_limits(scores, [y for _, y in stars.values()], lines, "top" in sides))
        _draw_lines(axes, lines, squares)
        for column, side in zip(columns, sides, strict=True):
            _draw_column(axes, column, names, side)
        _draw_stars(axes, stars)
        _decorate(axes, moved)
        axes.set_ylabel(f"{metric} (%)")
        title = f"{task}: {metric} against parameters ({n:,} test rows)"
        axes.set_title(title, loc="left", fontsize=12, color=INK)
        if handles := _handles(columns, names, stars, squares):
            figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, format="png", metadata={"Software": None})


def _columns(found: Sequence[Result], metric: str, names: Sequence[str]) -> list[Column]:
    """A column per student with a known number of parameters, from small to large."""
    columns = []
    for i, student in enumerate(all_students(found, tuple(STUDENTS))):
        single = find(found, stage="student", student=student)
        taught = {t: find(found, stage="distillation", student=student, teacher=t) for t in names}
        distilled = {t: 100 * r["metrics"][metric] for t, r in taught.items() if r}
        places = [_x(r) for r in (*taught.values(), single) if r and r["parameters"]]
        if places:
            score = 100 * single["metrics"][metric] if single else None
            shift = _x(single) - places[0] if single and single["parameters"] else 0.0
            colour = COLOURS[i % len(COLOURS)]
            columns.append(Column(student, colour, places[0], score, distilled, shift))
    return sorted(columns, key=lambda column: column.x)


def _x(result: Result) -> float:
    return log10(result["parameters"] / 1e6)


def _x_limits(xs: Sequence[float]) -> tuple[float, float]:
    low, high = min(xs, default=0.0), max(xs, default=2.0)
    margin = max(0.14 * (high - low), (0.7 - (high - low)) / 2)
    return low - margin, high + margin


def _spread(columns: Sequence[Column], gap: float) -> bool:
    """Move columns (sorted by x) at least `gap` apart, as little as can be; True if any moved.

    Least squares: columns that would touch become a block with even gaps around its mean.
    """
    blocks: list[list[float]] = []  # the x of each block's columns, less i * gap
    for i, column in enumerate(columns):
        blocks.append([column.x - i * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    places = [_mean(block) for block in blocks for _ in block]
    moved = any(len(block) > 1 for block in blocks)
    for i, (column, place) in enumerate(zip(columns, places, strict=True)):
        column.x = place + i * gap
    return moved


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sides(columns: Sequence[Column], room: float) -> list[str]:
    """Where each name goes: "left" or "right" if all find room there, else all upright on "top"."""
    gaps = [right.x - left.x >= room for left, right in pairwise(columns)]
    free = list(zip([True, *gaps], [*gaps, True], strict=True))[: len(columns)]
    if not all(left or right for left, right in free):
        return ["top"] * len(columns)
    return ["right" if right else "left" for _, right in free]


def _y_limits(
    scores: Sequence[float], stars: Sequence[float], lines: Mapping[str, float], upright: bool
) -> tuple[float, float]:
    """Limits from models and linear baselines, from the majority class if near, with room for the
    names."""
    shown = [*scores, *stars, *(y for name, y in lines.items() if name != "majority")]
    floor = min(shown) - (max(shown) - min(shown)) / 2 if shown else 0.0
    shown += [y for y in lines.values() if y > floor]
    low, high = min(shown, default=0.0), max(shown, default=100.0)
    span = max(high - low, 1.0)
    names = max(scores, default=low) + (0.42 if upright else 0.0) * span
    return low - 0.12 * span, max(high + 0.15 * span, names)


def _draw_lines(axes: Axes, lines: Mapping[str, float], squares: Mapping[str, float]) -> None:
    """A line per baseline, its name above or, where another one is near above, below it."""
    bottom, top = axes.get_ylim()
    drawn: list[float] = []
    for name, y in sorted(lines.items(), key=lambda line: -line[1]):
        label, inside = f"{BASELINES[name]} {y:.2f}", bottom < y < top
        if inside:
            axes.axhline(y, color=GREY, linestyle=(0, (5, 4)), linewidth=1, zorder=1)
        if inside and name in squares:
            axes.plot(10 ** squares[name], y, "s", color=GREY, markersize=6, zorder=2)
        crowded = any(other - y < 0.05 * (top - bottom) for other in drawn)
        drawn.append(y)
        text = axes.annotate(
            label if inside else f"{label} (below the axis)",
            (0.99, y if inside else 0),
            xycoords=axes.get_yaxis_transform() if inside else "axes fraction",
            xytext=(0, -3 if crowded else 3),
            textcoords="offset points",
            ha="right",
            va="top" if crowded else "bottom",
            fontsize=8,
            color=GREY,
        )
        text.set_path_effects(HALO)


def _draw_column(axes: Axes, column: Column, names: Sequence[str], side: str) -> None:
    x, colour = 10**column.x, column.colour
    bottom, top = axes.get_ylim()
    if column.single is not None:
        start = 10 ** (column.x + column.shift)
        ring = axes.plot(start, column.single, "o", color=colour, markersize=9, zorder=3)[0]
        ring.set(markerfacecolor="white", markeredgewidth=1.6)
    for name, y in column.distilled.items():
        if column.single is not None and abs(y - column.single) > 0.04 * (top - bottom):
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "shrinkA": 4}
            axes.annotate("", (x, y), (start, column.single), arrowprops=arrow | {"shrinkB": 3})
        marker = MARKERS[names.index(name) % len(MARKERS)]
        axes.plot(x, y, marker, color=colour, markersize=6.5, zorder=4)
    _label(axes, column.student, (x, max(column.scores)), side)


def _label(axes: Axes, text: str, at: tuple[float, float], side: str) -> None:
    """Write a name beside the marker `at`; on "top" it stands upright."""
    x = {"left": -8, "right": 8}.get(side, 0)
    drawn = axes.annotate(
        text,
        at,
        xytext=(x, 0 if x else 9),
        textcoords="offset points",
        rotation=90 if side == "top" else 0,
        ha={"left": "right", "right": "left"}.get(side, "center"),
        va="center" if x else "bottom",
        fontsize=9,
        color=INK,
    )
    drawn.set_path_effects(HALO)


def _draw_stars(axes: Axes, stars: Mapping[str, tuple[float, float]]) -> None:
    for name, (x, y) in stars.items():
        axes.plot(10**x, y, "*", color=INK, markersize=16, zorder=3)
        _label(axes, name, (10**x, y), "above")


def _decorate(axes: Axes, moved: bool) -> None:
    note = "; students of nearly one size stand side by side" if moved else ""
    axes.set_xlabel(f"parameters (log scale{note})")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_count))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def _count(millions: float, _: int) -> str:
    """`2M`, below a million `500k`."""
    return f"{millions:g}M" if millions >= 1 else f"{1000 * millions:g}k"


def _handles(
    columns: Sequence[Column],
    names: Sequence[str],
    stars: Mapping[str, object],
    squares: Mapping[str, object],
) -> list[Line2D]:
    """What the legend shows: only the kinds of marker that the picture has."""

    def handle(marker: str, label: str, fill: str = GREY, edge: str = GREY) -> Line2D:
        line = Line2D([], [], linestyle="none", marker=marker, label=label, markersize=8)
        line.set(markerfacecolor=fill, markeredgecolor=edge)
        return line

    singles = any(column.single is not None for column in columns)
    handles = [handle("o", "single (labels alone)", "white")] if singles else []
    for name in names:
        if any(name in column.distilled for column in columns):
            marker = MARKERS[names.index(name) % len(MARKERS)]
            handles.append(handle(marker, f"distilled from {name}"))
    handles += [handle("*", "teacher", INK, INK)] if stars else []
    return handles + ([handle("s", "without a neural network")] if squares else [])
