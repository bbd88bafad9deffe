"""The table of what a gain is worth: intervals, tests, agreement and calibration."""

from collections.abc import Callable, Sequence

from distillery.report import cells
from distillery.report.cells import NO_VALUE, NOT_RUN
from distillery.report.evidence import Evidence
from distillery.report.rows import Row, find, main_metric, rows
from distillery.results import Result

COLUMNS = (
    *("model", "gain", "95 % interval", "McNemar's p", "agreement with the teacher (%)"),
    *("calibration error (%)", "seeds"),
)
LEGEND = """\
- Two values: labels only / distilled. `–`: has no meaning for this model or task. not run: also \
where predictions or true labels are missing from `predictions/`.
- 95 % interval: of the gain, by the paired bootstrap over the test rows (10,000 resamples for \
labels, 2,000 for numbers; all seeds on the same rows, scores averaged over them). It says how the \
gain of these models varies over test sets; how it varies over seeds is the ± beside the scores.
- McNemar's p: of both models being right equally often; exact, two-sided, of the first seeds, \
which are the saved models. Needs predictions that are right or wrong.
- agreement: the share of test rows with the same label as the teacher's first seed predicts, \
right or wrong; for numbers, the correlation of both predictions (Pearson, x 100).
- calibration error: expected calibration error of the probabilities, 15 bins of equal width; \
needs a model with probabilities."""


def markdown(found: Sequence[Result], evidence: Evidence) -> str:
    """A table per teacher and the legend; empty where no student was run."""
    metric, _ = main_metric(found)
    lines, blocks = rows(found), []
    for teacher in dict.fromkeys(row.teacher for row in lines if row.stage == "student"):
        reference = find(found, stage="teacher", teacher=teacher) if teacher else None
        blocks.append(f"### Statistics, teacher `{teacher}`" if teacher else "### Statistics")
        own = [_cells(row, metric, evidence, reference) for row in lines if row.teacher == teacher]
        blocks.append(cells.table(COLUMNS, own))
    return "\n\n".join([*blocks, LEGEND]) + "\n" if blocks else ""


def _cells(row: Row, metric: str, evidence: Evidence, teacher: Result | None) -> list[str]:
    def agreement(result: Result) -> str:
        value = evidence.agreement(result, teacher) if teacher else None
        return NOT_RUN if value is None else f"{100 * value:.2f}"

    def both(show: Callable[[Result], str]) -> str:
        shown = [show(r) if r else NOT_RUN for r in (row.single, row.distilled)]
        return " / ".join(shown if row.stage == "student" else shown[:1])

    gain = [NO_VALUE] * 3
    if row.stage == "student":
        gain = [NOT_RUN] * 3
        if row.single and row.distilled:
            gain = difference(row.single, row.distilled, metric, evidence)
    agreements = NO_VALUE if row.stage == "teacher" or not row.teacher else both(agreement)
    seeds = both(lambda result: str(len(result.runs)))
    return [row.title, *gain, agreements, both(cells.calibration_error), seeds]


def difference(before: Result, after: Result, metric: str, evidence: Evidence) -> list[str]:
    """The cells of a gain, its interval and its p."""
    gain = cells.gain(before.metrics[metric], after.metrics[metric], metric)
    compared = evidence.compare(before, after, metric)
    if compared is None:
        return [gain, NOT_RUN, NOT_RUN]
    return [gain, cells.interval(compared.interval, metric), cells.p_value(compared.p)]
