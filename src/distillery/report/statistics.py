"""The table of what a gain is worth: intervals, tests, agreement and calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from distillery.report import cells
from distillery.report.cells import NO_VALUE, NOT_RUN, Result
from distillery.report.evidence import Evidence
from distillery.report.table import Row, find, main_metric, name_of, of_task, rows

COLUMNS = (
    *("model", "gain", "95 % interval", "McNemar's p", "agreement with the teacher (%)"),
    *("calibration error (%)", "seeds"),
)
LEGEND = """\
- Two values: single / distilled.
- 95 % interval: of the gain in percentage points, by the paired bootstrap over the test rows \
(10,000 resamples, every seed's model on the same rows, scores averaged over the seeds). It says \
how the gain of these models varies over test sets; how it varies over seeds is the ± beside the \
scores.
- McNemar's p: of both being right equally often, whatever the metric; exact, two-sided, of the \
models of the first seed, which are those that are saved.
- agreement: the share of test rows with the prediction of the teacher's first seed, right or wrong.
- calibration error: expected calibration error of the probabilities, 15 bins of equal width; \
`–` where a model gives none.
- not run: also where predictions or true labels are not in `predictions/`."""


def markdown(
    results: Mapping[str, Result], task: str, students: Sequence[str], evidence: Evidence
) -> str:
    """A table per teacher, with the models that were run, and the legend; empty where no student
    was."""
    found = of_task(results, task)
    metric, _ = main_metric(found)
    lines = [row for row in rows(results, task, students) if row.single or row.distilled]
    blocks = []
    for teacher in dict.fromkeys(row.teacher for row in lines if row.stage == "student"):
        reference = find(found, stage="teacher", teacher=teacher) if teacher else None
        blocks.append(f"### Statistics, teacher `{teacher}`" if teacher else "### Statistics")
        blocks.append(
            cells.table(
                COLUMNS,
                [_cells(r, metric, evidence, reference) for r in lines if r.teacher == teacher],
            )
        )
    return "\n\n".join([*blocks, LEGEND]) + "\n" if blocks else ""


def _cells(row: Row, metric: str, evidence: Evidence, teacher: Result | None) -> list[str]:
    def agreement(result: Result | None) -> str:
        if result is None or teacher is None:
            return NOT_RUN
        return cells.share(evidence.agreement(result, teacher))

    gain = [NO_VALUE] * 3
    if row.stage == "student":
        gain = _gain(row.single, row.distilled, metric, evidence)
    agreements = NO_VALUE
    if row.stage != "teacher" and row.teacher is not None:
        agreements = _of_both(row, agreement)
    errors, seeds = _of_both(row, cells.calibration_error), _of_both(row, _seeds)
    return [name_of(row), *gain, agreements, errors, seeds]


def _gain(
    single: Result | None, distilled: Result | None, metric: str, evidence: Evidence
) -> list[str]:
    if single is None or distilled is None:
        return [NOT_RUN] * 3
    return [
        cells.points(single, distilled, metric),
        cells.interval(evidence.interval(single, distilled, metric)),
        cells.p_value(evidence.mcnemar(single, distilled)),
    ]


def _of_both(row: Row, show: Callable[[Result | None], str]) -> str:
    if row.stage != "student":
        return show(row.single)
    return f"{show(row.single)} / {show(row.distilled)}"


def _seeds(result: Result | None) -> str:
    return NOT_RUN if result is None else str(len(result["runs"]))
