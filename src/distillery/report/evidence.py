"""What the predictions beside the results say of two models, row by row."""

from dataclasses import dataclass
from math import isclose
from pathlib import Path

import numpy as np

from distillery import kinds, results
from distillery.errors import UserError
from distillery.results import Result


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
