"""The cells of the report's tables: facts in, Markdown out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

Result = Mapping[str, Any]

NOT_RUN = "not run"
NO_VALUE = "–"


LEFT = (  # columns of words
    *("model", "result", "variant", "changed", "made of", "made by"),
    *("what", "step", "from", "to"),
)


def table(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    rule = [":---" if column in LEFT else "---:" for column in columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, rule, *cells])


def code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


def score(result: Result | None, metric: str) -> str:
    """`92.31`, with several seeds `92.31 ± 0.12` (mean ± sample standard deviation), in percent."""
    if result is None:
        return NOT_RUN
    values = [100 * run["metrics"][metric] for run in result["runs"]]
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * result['metrics'][metric]:.2f}{spread}"


def scores(result: Result | None, metrics: Sequence[str]) -> str:
    """The scores of several metrics, as of `score`: `88.10 / 84.31`."""
    return NOT_RUN if result is None else " / ".join(score(result, name) for name in metrics)


def calibration_error(result: Result | None) -> str:
    """The mean over the seeds, in percent."""
    if result is None:
        return NOT_RUN
    errors = [run["ece"] for run in result["runs"] if "ece" in run]
    if not errors:  # the majority class and NBSVM give no probabilities
        return NO_VALUE if result["stage"] == "baseline" else NOT_RUN
    return share(mean(errors))


def points(before: Result, after: Result, metric: str) -> str:
    return _signed(after["metrics"][metric] - before["metrics"][metric])


def _signed(difference: float) -> str:
    shown = round(100 * difference, 2)
    return f"{shown:+.2f}" if shown else "0.00"


def interval(bounds: tuple[float, float] | None) -> str:
    """`+2.91 to +3.63`, in percentage points."""
    if bounds is None:
        return NOT_RUN
    return " to ".join(map(_signed, bounds))


def p_value(value: float | None) -> str:
    if value is None:
        return NOT_RUN
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def share(value: float | None) -> str:
    """In percent."""
    return NOT_RUN if value is None else f"{100 * value:.2f}"


def parameters(result: Result) -> str:
    return NO_VALUE if result["parameters"] is None else f"{result['parameters']:,}"


def size(result: Result) -> str:
    return NO_VALUE if result["bytes"] is None else file_size(result["bytes"])


def file_size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def duration(result: Result | None) -> str:
    """The training time of a seed, the mean over them."""
    if result is None:
        return NOT_RUN
    seconds = mean(run["seconds"] for run in result["runs"])
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60)):
        if seconds < limit:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 3600:.1f} h"


def made_by(result: Result) -> str:
    return code(result["command"]) if result["command"] else NO_VALUE


def commit(found: Mapping[str, Any]) -> str:
    """Of a result or a benchmark: the code that made it."""
    head = (found.get("commit") or {}).get("head")
    if not head:
        return "no commit recorded"
    return f"commit {head[:7]}" + (" with uncommitted changes" if found["commit"]["dirty"] else "")
