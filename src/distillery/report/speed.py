"""Inference speed: `inference.json` of a benchmark in, a page and a picture out."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator

from distillery import files
from distillery.report import cells, plot
from distillery.report.cells import NO_VALUE, file_size, table

Facts = Mapping[str, Any]

BASELINE = "sorted"  # the way of the row that all others are divided by
BATCH = 32  # rows, of like length
RUNTIMES = {"PyTorch": "o", "ONNX Runtime": "D"}  # markers
PANELS = {False: "from word pieces", True: "tokenization counted"}
COLUMNS = (
    *("model", "accuracy", "runs in", "max length", "rows/s", "times", "rows/s, texts"),
    *("times, texts", "times its source", "median / 95 % of 32 (ms)", "of 1 (ms)"),
    *("of 32, texts (ms)", "of 1, texts (ms)", "file", "load (s)", "memory", "rows timed"),
    "same answers",
)
PICKED = (
    "These models were picked by their test accuracy from the models that were timed; no recipe"
    " was chosen by it."
)
FEW_CALLS = 20  # too few for a 95th percentile
LEGEND = """\
- rows/s: batches of 32, of like length unless the row says otherwise; from word pieces, and \
from `texts`, where tokenization is counted and like length is like number of characters.
- max length: in word pieces; the rest of a longer text is not read.
- times its source: rows per second, from word pieces, over those of the model that it was \
compressed from; below 1 it is slower.
- latencies: median and 95th percentile over the batches timed, where they are 20 or more.
- runs in: of a PyTorch model the faster of fp32 and bf16, as measured before the timing; of an \
ONNX model what it was made in.
- load: model and tokenizer, from files in the page cache, with their checksums compared. memory: \
the peak of the process, and (what it had before loading them)."""


def mode(row: Facts, batch: int, tokenization: bool) -> Facts | None:
    """What was timed of a row in one mode; None where nothing was."""
    key = (batch, tokenization)
    return next((m for m in row["timed"] if (m["batch"], m["tokenization"]) == key), None)


def score(row: Facts) -> float | None:
    """The score on test of a model; older files call it accuracy."""
    found: float | None = row["score"] if "score" in row else row["accuracy"]
    return found


def metric(found: Facts) -> str:
    """What the scores of a benchmark are."""
    return str(found.get("metric", "accuracy"))


def throughput(row: Facts, tokenization: bool) -> float:
    """Rows per second in batches of `BATCH`."""
    timed = mode(row, BATCH, tokenization)
    if timed is None:
        raise LookupError(f"{row['name']} was not timed in batches of {BATCH}")
    return float(timed["throughput"])


def baseline(rows: Sequence[Facts]) -> Facts:
    """The row that all others are divided by: the shape in fp32, in batches of like length."""
    return next(row for row in rows if row["way"] == BASELINE)


def write(path: Path) -> Path:
    """Writes the page and the picture of a benchmark's JSON file beside it; returns the page."""
    found = files.read_json(path, "rows", "ratios", "steps", "environment", "recipe", "task")
    picture = path.with_suffix(".png")
    with files.replacing(picture) as temporary:
        throughputs(found, temporary)
    page = path.with_suffix(".md")
    files.write_text(page, markdown(found, picture.name))
    return page


def _number(value: float, whole: float = 100) -> str:
    """Three digits, from `whole` on without decimals."""
    return f"{value:,.0f}" if value >= whole else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return NO_VALUE if value is None else f"{100 * value:.2f}"


def _rate(row: Facts | None, tokenization: bool) -> float | None:
    """Rows per second in batches of 32; None where it was not timed."""
    timed = mode(row, BATCH, tokenization) if row else None
    return timed["throughput"] if timed else None


def _times(rate: float | None, base: float | None) -> str:
    return _number(rate / base) if rate and base else NO_VALUE


def _latency(row: Facts, batch: int, tokenization: bool) -> str:
    timed = mode(row, batch, tokenization)
    if not timed:
        return NO_VALUE
    median, p95 = (_number(1000 * timed[key], 1000) for key in ("latency_median", "latency_p95"))
    return f"{median} / {NO_VALUE if timed['calls'] < FEW_CALLS else p95}"


def _cells(row: Facts, found: Facts) -> list[str]:
    base = baseline(found["rows"])
    source = next((r for r in found["rows"] if r["name"] == row["source"]), None)
    here, there = _rate(row, False), _rate(source, False)
    rates = []
    for tokenization in (False, True):
        rate = _rate(row, tokenization)
        rates += [_number(rate) if rate else NO_VALUE, _times(rate, _rate(base, tokenization))]
    return [
        row["name"] if row["way"] else f"`{row['name']}`",
        _percent(score(row)),
        f"{row['runtime']}, {row['precision']}",
        str(row["max_length"]),
        *rates,
        f"{here / there:.2f}" if here and there else NO_VALUE,
        *(_latency(row, batch, texts) for texts in (False, True) for batch in (BATCH, 1)),
        file_size(row["bytes"]),
        f"{row['load_seconds']:.2f}",
        f"{row['peak_memory'] / 2**20:,.0f} ({row['memory_before_loading'] / 2**20:,.0f}) MiB",
        f"{sum(timed['rows'] for timed in row['timed']):,}",
        _percent(row["agreement"]),
    ]


def _what(name: str) -> str:
    """What a ratio is of, from its name, such as `at_91_with_tokenization`."""
    what, percent, how = re.fullmatch(r"(.*)at_([\d.]+)_(.*)", name).groups()  # type: ignore[union-attr]
    least = f"at {float(percent):.1f} or more"
    if what:
        return f"smallest file {least}"
    counted = "tokenization counted" if how.startswith("with_") else "from word pieces"
    return f"fastest {least}, {counted}"


def ratios(found: Facts) -> str:
    """The table of the quoted figures."""
    lines = []
    for name, ratio in found["ratios"].items():
        model, value = ratio["model"], ratio["value"]
        shown = NO_VALUE
        if model:
            shown = file_size(value) if name.endswith("_bytes") else f"{_number(value)} times"
        quoted = f"`{model}`" if model else "none"
        lines.append([_what(name), quoted, _percent(score(ratio)), shown])
    return table(("what", "model", metric(found), "value"), lines)


def section(path: Path, folder: Path) -> str:
    """The section of the page in `folder` on a benchmark's JSON file at `path`."""
    found = files.read_json(path, "ratios", "environment", "recipe")
    where = found["environment"]
    here = Path(os.path.relpath(path, folder))
    blocks = [
        "### Inference speed",
        f"In one run on {where['cpu']}, {where['threads']} threads, relative to"
        f" {found['recipe']['shape']}'s shape in PyTorch fp32; every model and step:"
        f" [{here.stem}.md]({here.with_suffix('.md').as_posix()}).",
        ratios(found),
        PICKED,
        f"![{metric(found)} against throughput]({here.with_suffix('.png').as_posix()})",
    ]
    return "\n\n".join(blocks)


def markdown(found: Facts, picture: str) -> str:
    """The whole page. picture: the name of its file."""
    where, recipe, base = found["environment"], found["recipe"], baseline(found["rows"])
    made = (
        f"Made by `{found['command']}` at {cells.commit(found['commit'])}: {where['cpu']},"
        f" {where['threads']} threads, device {where['device']}, torch {where['torch']}, ONNX"
        f" Runtime {where['onnxruntime']}. Test split of {found['task']}, {found['n']:,} rows."
    )
    method = (
        "Every model runs in a process of its own. All are loaded, then take turns:"
        f" {recipe['rounds']} that count after one to warm up, each of about"
        f" {recipe['seconds']:g} s and at least two batches per batch size, with and without"
        " tokenization. A turn's batches are spread evenly over the lengths of the test split and"
        " hold other rows than the turns before. `times`: throughput relative to"
        f" *{base['name']}* ({base['runtime']}, {base['precision']}), whose weights are random, so"
        f" it has no {metric(found)}. {metric(found).capitalize()} is that of the model's result,"
        " over all rows; `same answers`: the share of the timed rows (in %) that got the label"
        " recorded there."
    )
    steps = [
        [step["step"], step["before"], step["after"], f"{step['times']:.2f}"]
        for step in found["steps"]
    ]
    blocks = [
        "# Inference speed",
        made,
        method,
        ratios(found),
        PICKED,
        f"![{metric(found)} against throughput]({picture})",
        "## What each step buys",
        "Each step alone, in rows per second of batches of 32, without tokenization.",
        table(("step", "from", "to", "times faster"), steps),
        "## Every model",
        table(
            ("model", metric(found), *COLUMNS[2:]), [_cells(row, found) for row in found["rows"]]
        ),
        LEGEND,
    ]
    return "\n\n".join(blocks) + "\n"


def throughputs(found: Mapping[str, Any], path: Path) -> None:
    """Draws a benchmark's models with tokenization and without, and the Pareto front."""
    models = [(row, score(row)) for row in found["rows"]]
    base = baseline(found["rows"])
    with plot.picture(path, 11) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (tokenization, title) in zip(panels, PANELS.items(), strict=True):
            points = [
                (throughput(row, tokenization), 100 * value, row)
                for row, value in models
                if value is not None
            ]
            _panel(axes, points, throughput(base, tokenization), base["name"])
            axes.set_title(title, loc="left", fontsize=11, color=plot.INK)
        panels[0].set_ylabel(f"{metric(found)} (%)")
        for runtime, marker in RUNTIMES.items():
            panels[0].plot([], [], marker, color=plot.GREY, label=runtime)
        panels[0].plot([], [], color=plot.GREY, linewidth=1, label="Pareto front")
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        threads = found["environment"]["threads"]
        title = f"{metric(found)} against throughput, batches of {BATCH}, {threads} threads"
        figure.suptitle(f"{found['task']}: {title}", fontsize=12, color=plot.INK)


Timed = tuple[float, float, Mapping[str, Any]]  # rows per second, score in percent, row


def pareto(points: Sequence[Timed]) -> list[Timed]:
    """The points that no other is both as fast and as accurate as, from slow to fast."""
    front: list[Timed] = []
    for point in sorted(points, key=lambda p: (-p[0], -p[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front[::-1]


def _panel(axes: Any, points: Sequence[Timed], base: float, name: str) -> None:
    axes.set(xscale="log", xlabel="rows per second (log scale)")
    front = pareto(points)
    axes.step([x for x, _, _ in front], [y for _, y, _ in front], color=plot.GREY, linewidth=1)
    for chosen, colour, size in ((points, plot.PALE, 5), (front, plot.COLOURS[0], 7)):
        for x, y, row in chosen:
            axes.plot(x, y, RUNTIMES[row["runtime"]], color=colour, markersize=size, zorder=2)
    names = "\n".join(["on the front, from slow to fast:", *(row["name"] for _, _, row in front)])
    style: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "top"}
    plot.write(axes, names, (1, 1), (0, 0), fontsize=8, **style)
    axes.axvline(base, color=plot.GREY, linestyle=plot.DASHED, linewidth=1)
    style = {"xycoords": axes.get_xaxis_transform(), "color": plot.GREY, "rotation": 90}
    plot.write(axes, f"{name}: random weights", (base, 0.02), (3, 0), fontsize=7, **style)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    plot.decorate(axes)
