"""Inference speed: `inference.json` of a benchmark in, a page and a picture out."""

import os
import re
from pathlib import Path

from distillery import files
from distillery.report import cells, plot
from distillery.report.cells import NO_VALUE, file_size, table
from distillery.report.timed import BATCH, Facts, baseline, metric, mode, score

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


def write(path: Path) -> Path:
    """Writes the page and the picture of a benchmark's JSON file beside it; returns the page."""
    found = files.read_json(path, "rows", "ratios", "steps", "environment", "recipe", "task")
    picture = path.with_suffix(".png")
    with files.replacing(picture) as temporary:
        plot.throughputs(found, temporary)
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
