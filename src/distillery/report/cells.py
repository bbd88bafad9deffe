"""The cells of the report's tables: facts in, Markdown out."""

from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from distillery.evaluation import LOWER_IS_BETTER
from distillery.results import Commit, Result

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


def scaled(value: float, metric: str) -> float:
    """Times 100 for metrics of at most 1; a mean squared error as it is."""
    return value if metric in LOWER_IS_BETTER else 100 * value


def figure(value: float, metric: str, sign: str = "") -> str:
    """`92.31` of 0.9231; with the sign "+" a difference, such as `+1.30` or `0.00`."""
    digits = 4 if metric in LOWER_IS_BETTER else 2
    text = f"{scaled(value, metric):{sign}.{digits}f}"
    return text if float(text) else text.lstrip("+-")


def score(result: Result | None, *metrics: str) -> str:
    """`92.31`, with several seeds `92.31 ± 0.12` (mean ± sample standard deviation); of several
    metrics `88.10 / 84.31`."""
    if result is None:
        return NOT_RUN
    shown = []
    for metric in metrics:
        values = [run["metrics"][metric] for run in result.runs]
        spread = f" ± {figure(stdev(values), metric)}" if len(values) > 1 else ""
        shown.append(figure(result.metrics[metric], metric) + spread)
    return " / ".join(shown)


def calibration_error(result: Result) -> str:
    """The mean over the seeds, in percent."""
    errors = [run["ece"] for run in result.runs if "ece" in run]
    return f"{100 * mean(errors):.2f}" if errors else NO_VALUE


def gain(before: float, after: float, metric: str) -> str:
    return figure(after - before, metric, "+")


def interval(bounds: tuple[float, float] | None, metric: str) -> str:
    """`+2.91 to +3.63`."""
    return NOT_RUN if bounds is None else " to ".join(figure(b, metric, "+") for b in bounds)


def p_value(value: float | None) -> str:
    if value is None:
        return NO_VALUE
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def parameters(result: Result) -> str:
    return NO_VALUE if result.parameters is None else f"{result.parameters:,}"


def size(result: Result) -> str:
    return NO_VALUE if result.bytes is None else file_size(result.bytes)


def file_size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def duration(result: Result | None) -> str:
    """The training time of one seed, the mean over the seeds."""
    if result is None:
        return NOT_RUN
    seconds = mean(run["seconds"] for run in result.runs)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def made_by(*results: Result) -> str:
    commands = [code(result.command) for result in results if result.command]
    return "<br>".join(commands) or NO_VALUE


def commit(found: Commit) -> str:
    """The code that made a result or a benchmark."""
    if not found["head"]:
        return "no commit recorded"
    return f"commit {found['head'][:7]}" + (" with uncommitted changes" if found["dirty"] else "")
