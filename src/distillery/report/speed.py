"""The speed of answering: `inference.json` of a benchmark in, a page and a picture out."""

from __future__ import annotations

import os
from pathlib import Path

from distillery import files
from distillery.report import cells, speed_plot
from distillery.report.cells import file_size, table
from distillery.report.timed import BATCH, Facts, baseline, mode

COLUMNS = (
    "model",
    "accuracy",
    "runs in",
    "cut at",
    "reviews/s",
    "times",
    "reviews/s, texts",
    "times, texts",
    "times its source",
    "median / 95 % of 32 (ms)",
    "of 1 (ms)",
    "of 32, texts (ms)",
    "of 1, texts (ms)",
    "file",
    "load (s)",
    "memory",
    "reviews timed",
    "same answers",
)
WHAT = {
    "at_91_with_tokenization": "fastest at 91.0 or more, tokenization counted",
    "at_91_without_tokenization": "fastest at 91.0 or more, from word pieces",
    "at_92_without_tokenization": "fastest at 92.0 or more, from word pieces",
    "smallest_at_90_bytes": "smallest file at 90.0 or more",
}
PICKED = (
    "These models were picked by their accuracy on test, of the models that were timed; no recipe"
    " was chosen by it."
)
NONE = "–"
FEW_CALLS = 20  # of which no 95th percentile is told
LEGEND = """\
- reviews/s: batches of 32, of like length unless the row says otherwise; from word pieces, and \
from `texts`, where tokenization is counted and like length is like number of characters.
- cut at: word pieces that the model reads of a longer text.
- times its source: reviews per second, from word pieces, over those of the model that it was \
compressed from; below 1 it is slower.
- latencies: median and 95th percentile over the batches timed, where they are 20 or more.
- runs in: of a PyTorch model the faster of fp32 and bf16, as measured before the timing; of an \
ONNX model what it was made in.
- load: model and tokenizer, from files in the page cache, their checksums compared. memory: the \
most that the process had, and (what it had before it loaded them)."""


def write(path: Path) -> Path:
    """Writes the page and the picture of a benchmark's JSON file beside it; gives the page."""
    found = files.read_json(path, "rows", "ratios", "steps", "environment", "recipe", "task")
    picture = path.with_suffix(".png")
    with files.replacing(picture) as temporary:
        speed_plot.plot(found, temporary)
    page = path.with_suffix(".md")
    files.write_text(page, markdown(found, picture.name))
    return page


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(row: Facts, found: Facts, tokenization: bool) -> str:
    timed, base = (mode(r, BATCH, tokenization) for r in (row, baseline(found["rows"])))
    return _number(timed["throughput"] / base["throughput"]) if timed and base else NONE


def _latency(row: Facts, batch: int, tokenization: bool) -> str:
    timed = mode(row, batch, tokenization)
    if not timed:
        return NONE
    median, p95 = (1000 * timed[key] for key in ("latency_median", "latency_p95"))
    few = timed["calls"] < FEW_CALLS
    return f"{_milliseconds(median)} / {NONE if few else _milliseconds(p95)}"


def _milliseconds(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _times_source(row: Facts, found: Facts) -> str:
    """The throughput of a compressed model over that of the one it was made of."""
    source = next((r for r in found["rows"] if r["name"] == row["source"]), None)
    here, there = (mode(r, BATCH, False) if r else None for r in (row, source))
    return f"{here['throughput'] / there['throughput']:.2f}" if here and there else NONE


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"


def _cells(row: Facts, found: Facts) -> list[str]:
    plain, texts = (mode(row, BATCH, tokenization) for tokenization in (False, True))
    return [
        row["name"] if row["way"] else f"`{row['name']}`",
        _percent(row["accuracy"]),
        f"{row['runtime']}, {row['precision']}",
        f"{row['max_length']}",
        _number(plain["throughput"]) if plain else NONE,
        _times(row, found, False),
        _number(texts["throughput"]) if texts else NONE,
        _times(row, found, True),
        _times_source(row, found),
        _latency(row, BATCH, False),
        _latency(row, 1, False),
        _latency(row, BATCH, True),
        _latency(row, 1, True),
        file_size(row["bytes"]),
        f"{row['load_seconds']:.2f}",
        f"{row['peak_memory'] / 2**20:,.0f} ({row['memory_before_loading'] / 2**20:,.0f}) MiB",
        f"{sum(timed['rows'] for timed in row['timed']):,}",
        _percent(row["agreement"]),
    ]


def ratios(found: Facts) -> str:
    """The table of what is quoted."""
    lines = []
    for name, what in WHAT.items():
        ratio = found["ratios"][name]
        value = NONE
        if ratio["model"]:
            size = name.endswith("_bytes")
            value = file_size(ratio["value"]) if size else f"{_number(ratio['value'])} times"
        model = f"`{ratio['model']}`" if ratio["model"] else "none"
        lines.append([what, model, _percent(ratio["accuracy"]), value])
    return table(("what", "model", "accuracy", "value"), lines)


def section(path: Path, folder: Path) -> str:
    """A section of the page in `folder`: what is quoted of a benchmark's JSON file at `path`."""
    found = files.read_json(path, "ratios", "environment", "recipe")
    where = found["environment"]
    page, picture = (
        Path(os.path.relpath(path.with_suffix(suffix), folder)).as_posix()
        for suffix in (".md", ".png")
    )
    return "\n\n".join(
        [
            "### Speed of answering",
            f"In one run on {where['cpu']}, {where['threads']} threads, beside"
            f" {found['recipe']['shape']}'s shape in PyTorch fp32; every model and step:"
            f" [{Path(page).name}]({page}).",
            ratios(found),
            PICKED,
            f"![accuracy against throughput]({picture})",
        ]
    )


def markdown(found: Facts, picture: str) -> str:
    """The whole page. picture: the name of its file."""
    steps = [
        [step["step"], step["before"], step["after"], f"{step['times']:.2f}"]
        for step in found["steps"]
    ]
    blocks = [
        "# The speed of answering",
        _made(found),
        _method(found),
        ratios(found),
        PICKED,
        f"![accuracy against throughput]({picture})",
        "## What each step buys",
        "Each step alone, in reviews per second of batches of 32, without tokenization.",
        table(("step", "from", "to", "times faster"), steps),
        "## Every model",
        table(COLUMNS, [_cells(row, found) for row in found["rows"]]),
        LEGEND,
    ]
    return "\n\n".join(blocks) + "\n"


def _made(found: Facts) -> str:
    where = found["environment"]
    return (
        f"Made by `{found['command']}` at {cells.commit(found)}: {where['cpu']},"
        f" {where['threads']} threads, device {where['device']}, torch {where['torch']}, ONNX"
        f" Runtime {where['onnxruntime']}. Test split of {found['task']}, {found['n']:,}"
        " rows."
    )


def _method(found: Facts) -> str:
    recipe, base = found["recipe"], baseline(found["rows"])
    return (
        "Every model is a process of its own; all were loaded, then worked in turns:"
        f" {recipe['rounds']} that count after one to warm up, each of about"
        f" {recipe['seconds']:g} s at each batch size, with and without tokenization, of two"
        " batches at least. A turn's batches are spread evenly over the lengths of the test split"
        " and hold other rows than the turns before. `times`: throughput over that of"
        f" *{base['name']}* ({base['runtime']}, {base['precision']}), whose weights are random: it"
        " has no accuracy. Accuracy is that of the model's result, over all rows; `same answers`:"
        " the share of the timed rows (in %) that got the label recorded there."
    )
