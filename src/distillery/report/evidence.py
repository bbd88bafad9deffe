"""What the predictions in the folder of results say of two models, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distillery import results
from distillery.errors import UserError
from distillery.evaluation import metrics, significance

Result = Mapping[str, Any]


class Evidence:
    """The predictions of a task's results, and the true labels.

    All that it says is None where predictions or labels are not there, or are of another test
    split; UserError where a file is damaged.
    """

    def __init__(self, folder: Path, task: str) -> None:
        self._folder, self._task = folder, task
        self._labels = results.read_labels(folder, task)
        self._read: dict[str, np.ndarray | None] = {}

    def interval(self, before: Result, after: Result, metric: str) -> tuple[float, float] | None:
        """The 95 % interval of the gain, over the mean of each result's runs."""
        first, second = self._predictions(before), self._predictions(after)
        if self._labels is None or first is None or second is None:
            return None
        return significance.gain_interval(self._labels.values, first, second, metric)

    def mcnemar(self, before: Result, after: Result) -> float | None:
        """McNemar's p of the first run of each: the models that are saved and used."""
        first, second = self._predictions(before), self._predictions(after)
        if self._labels is None or first is None or second is None:
            return None
        return significance.mcnemar(self._labels.values, first[0], second[0])

    def agreement(self, result: Result, teacher: Result) -> float | None:
        """The share of equal predictions with the teacher's first run, the mean over the runs."""
        first, second = self._predictions(result), self._predictions(teacher)
        if first is None or second is None:
            return None
        return significance.agreement(first, second[0])

    def _predictions(self, result: Result) -> np.ndarray | None:
        """(runs, N)"""
        name = result["name"]
        if name not in self._read:
            self._read[name] = self._find(result)
        return self._read[name]

    def _find(self, result: Result) -> np.ndarray | None:
        labels, path = self._labels, results.predictions_path(self._folder, result["name"])
        split = (result.get("inputs") or {}).get(f"{self._task}/test.parquet")
        if labels is None or labels.sha256 != split or not path.is_file():
            return None
        damaged = f"{path} is damaged: delete it and run the stage of {result['name']} again"
        runs, n = result["runs"], len(labels.values)
        try:
            found = results.unpack(path.read_bytes(), len(runs), n, len(labels.names))
        except ValueError:
            raise UserError(damaged) from None
        if found.max() >= len(labels.names) or result["n"] != n:
            raise UserError(damaged)
        for run, predicted in zip(runs, found, strict=True):
            accuracy = metrics.score("accuracy", labels.values, predicted)
            if abs(run["metrics"].get("accuracy", accuracy) - accuracy) > 1e-6:
                raise UserError(damaged)
        return found
