"""The table of what a gain is worth: intervals, tests, agreement and calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path

import numpy as np

from distillery import kinds, results
from distillery.errors import UserError
from distillery.report import cells
from distillery.report.cells import NO_VALUE, NOT_RUN
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


@dataclass(frozen=True)
class Comparison:
    """interval: 95 %, of the gain in the mean score over each result's seeds. p: McNemar's, of the
    first seeds (the saved models); None where predictions are not simply right or wrong."""

    interval: tuple[float, float]
    p: float | None


class Evidence:
    """The predictions of a task's results, and the true labels (N,), empty where they are missing.

    Its methods return None where predictions or labels are missing, or belong to another test
    split; UserError where a file is damaged.
    """

    def __init__(self, folder: Path, task: str) -> None:
        self._folder, self._task = folder, task
        self._stored = results.read_labels(folder, task)
        self.labels = np.empty(0)  # (N,)
        self._read: dict[str, np.ndarray | None] = {}
        if self._stored:
            self._kind = kinds.get(self._stored.kind)
            path = results.labels_path(folder, task)
            self.labels = self._unpack(path, self._stored.packed, 1, f"a stage of {task}")[0]

    def compare(self, before: Result, after: Result, metric: str) -> Comparison | None:
        first, second = self._predictions(before), self._predictions(after)
        if first is None or second is None:
            return None
        interval = self._kind.gain_interval(metric, self.labels, first, second)
        return Comparison(interval, self._kind.mcnemar(self.labels, first[0], second[0]))

    def agreement(self, result: Result, teacher: Result) -> float | None:
        """How far a result's predictions agree with those of the teacher's first seed, 0 to 1."""
        first, second = self._predictions(result), self._predictions(teacher)
        if first is None or second is None:
            return None
        return self._kind.agreement(first, second[0])

    def _predictions(self, result: Result) -> np.ndarray | None:
        """(runs, N)"""
        if result.name not in self._read:
            self._read[result.name] = self._find(result)
        return self._read[result.name]

    def _find(self, result: Result) -> np.ndarray | None:
        path = results.predictions_path(self._folder, result.name)
        split = result.inputs.get(f"{self._task}/test.parquet")
        if self._stored is None or self._stored.sha256 != split or not path.is_file():
            return None
        stage, metric = f"the stage of {result.name}", result.metric
        found = self._unpack(path, path.read_bytes(), len(result.runs), stage)
        if result.n != self._stored.n or metric not in self._kind.metrics:
            raise _damaged(path, stage)
        for run, predicted in zip(result.runs, found, strict=True):
            score = self._kind.scores(metric, self.labels, predicted)[metric]
            if not isclose(score, run["metrics"][metric], rel_tol=1e-5, abs_tol=1e-6):
                raise _damaged(path, stage)
        return found

    def _unpack(self, path: Path, packed: bytes, runs: int, stage: str) -> np.ndarray:
        assert self._stored is not None
        try:
            return self._kind.unpack(packed, runs, self._stored.n, self._stored.names)
        except ValueError:
            raise _damaged(path, stage) from None


def _damaged(path: Path, stage: str) -> UserError:
    return UserError(f"{path} is damaged: delete it and run {stage} again")


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
