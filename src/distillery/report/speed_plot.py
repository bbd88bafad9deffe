"""The picture of a benchmark: accuracy against throughput, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from distillery.report.plot import COLOURS, GREY, HALO, INK
from distillery.report.timed import BATCH, baseline, throughput

MARKERS = {"PyTorch": "o", "ONNX Runtime": "D"}
PANELS = {False: "from word pieces", True: "tokenization counted"}

Point = tuple[float, float, Mapping[str, Any]]  # reviews per second, accuracy in percent, row


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other is both as fast and as accurate as, from slow to fast."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (-p[0], -p[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front[::-1]


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Writes the picture to `path` as PNG, the same bytes for the same facts."""
    models = [row for row in found["rows"] if row["accuracy"] is not None]
    base = baseline(found["rows"])
    with matplotlib.style.context("default", after_reset=True):
        figure = Figure(figsize=(11, 5), dpi=150, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (tokenization, title) in zip(panels, PANELS.items(), strict=True):
            points = [(throughput(row, tokenization), 100 * row["accuracy"], row) for row in models]
            _panel(axes, points, throughput(base, tokenization), base["name"])
            axes.set_title(title, loc="left", fontsize=11, color=INK)
        panels[0].set_ylabel("accuracy (%)")
        for runtime, marker in MARKERS.items():
            panels[0].plot([], [], marker, color=GREY, label=runtime)
        panels[0].plot([], [], color=GREY, linewidth=1, label="Pareto front")
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        threads = found["environment"]["threads"]
        figure.suptitle(
            f"{found['task']}: accuracy against throughput, batches of {BATCH}, {threads} threads",
            fontsize=12,
            color=INK,
        )
        figure.savefig(path, format="png", metadata={"Software": None})


def _panel(axes: Axes, points: Sequence[Point], base: float, name: str) -> None:
    axes.set(xscale="log", xlabel="reviews per second (log scale)")
    front = pareto(points)
    axes.step([x for x, _, _ in front], [y for _, y, _ in front], color=GREY, linewidth=1)
    for number, (x, y, row) in enumerate(points):
        on_front = any(row is other for _, _, other in front)
        axes.plot(
            *(x, y, MARKERS[row["runtime"]]),
            color=COLOURS[number % len(COLOURS)] if on_front else "#BBBBBB",
            markersize=7 if on_front else 5,
            zorder=3 if on_front else 2,
        )
        if on_front:
            text = axes.annotate(
                row["name"],
                (x, y),
                xytext=(-6, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=7,
                color=INK,
            )
            text.set_path_effects(HALO)
    axes.axvline(base, color=GREY, linestyle=(0, (5, 4)), linewidth=1)
    text = axes.annotate(
        f"{name}: random weights",
        (base, 0.02),
        xycoords=axes.get_xaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        rotation=90,
        fontsize=7,
        color=GREY,
    )
    text.set_path_effects(HALO)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
