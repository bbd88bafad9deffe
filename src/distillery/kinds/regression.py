"""Regression: one number for a text or a pair of texts, such as how alike two sentences are."""

import logging
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillery.errors import UserError, one_line
from distillery.evaluation import LOWER_IS_BETTER, correlation
from distillery.kinds.base import Kind

LARGEST = 1e8  # label of a user's data; a squared error of it fits results and fp32
SLOW = 100  # labels beyond this are far from the outputs that a new head gives, near 0


class Regression(Kind):
    """Labels are the numbers themselves; `task.labels` holds the name of the one output."""

    name = "regression"
    dtype = np.float64
    missing = np.nan
    label_word = "number"
    metrics = ("spearman", "pearson", "mse")

    def label_reader(self, files: Mapping[str, str], declared: Sequence[str] | None) -> "Numbers":
        if declared:
            raise UserError("--labels is for classification: regression has numbers as labels")
        return Numbers(files)

    def check_labels(self, labels: np.ndarray, names: Sequence[str], where: str) -> None:
        if not np.isfinite(labels).all():
            raise UserError(f"{where} has a label that is not a finite number")

    def groups(self, labels: np.ndarray) -> np.ndarray:
        """The fifth of the rows that a label belongs to, 0 for the lowest labels."""
        if not len(labels):
            return np.zeros(0, np.int64)
        borders = np.quantile(labels, [0.2, 0.4, 0.6, 0.8], method="lower")
        return np.searchsorted(borders, labels).astype(np.int64)

    def contradicts(self, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether they differ by more than a fifth of all labels' range."""
        if not len(labels):
            return np.zeros(0, bool)
        result: np.ndarray = np.abs(labels - others) > np.ptp(labels) / 5
        return result

    def summary(self, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """Lowest, mean and highest."""
        if not len(labels):
            return {}
        found = {"lowest": labels.min(), "mean": labels.mean(), "highest": labels.max()}
        return {name: float(f"{value:.6g}") for name, value in found.items()}

    def describe(self, summary: Mapping[str, float]) -> str:
        return "{lowest:g} to {highest:g}, mean {mean:g}".format(**summary) if summary else "none"

    def check_config(self, config: Any, names: Sequence[str], where: object) -> None:
        """A fine-tuned model must have one output."""
        if len(config.id2label) != 1:
            raise UserError(f"{where} has {len(config.id2label)} labels: regression has one output")

    def check_teacher(
        self,
        teacher: str,
        logits: np.ndarray,
        labels: np.ndarray,
        names: Sequence[str],
        metric: str,
        lowest: float,
    ) -> None:
        """The task's metric must reach `lowest`, and the correlation be positive: a constant
        answer has none."""
        predicted = self.decode(logits)
        found = self.scores(metric, labels, predicted)
        score = found[metric]
        bad = score > lowest if metric in LOWER_IS_BETTER and lowest else score < lowest
        if bad or not found["pearson"] > 0:
            limit = f"short of {lowest:g}" if bad else "no better than a constant answer"
            raise UserError(
                f"teacher {teacher} has a dev {metric} of {score:.4f}, {limit}"
                " (a raw encoder, one tuned on something else, or one trained too little?)"
            )

    def decode(self, logits: np.ndarray) -> np.ndarray:
        return logits[:, 0].astype(np.float64)

    def scores(self, metric: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        names = dict.fromkeys([metric, *self.metrics])
        return {name: float(correlation.METRICS[name](labels, predicted)) for name in names}

    def answer(self, outputs: np.ndarray, names: Sequence[str]) -> "Number":
        return Number(float(outputs[0]), names[0])

    def gain_interval(
        self, metric: str, labels: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> tuple[float, float]:
        return correlation.gain_interval(labels, before, after, metric)

    def agreement(self, predicted: np.ndarray, other: np.ndarray) -> float:
        """Pearson's correlation of the predictions, the mean over the runs."""
        return float(np.mean([correlation.pearson(run, other) for run in predicted]))

    def pack(self, values: np.ndarray, names: Sequence[str]) -> bytes:
        return values.astype("<f4").tobytes()

    def unpack(self, packed: bytes, runs: int, n: int, names: Sequence[str]) -> np.ndarray:
        if len(packed) != 4 * runs * n:
            raise ValueError(f"{len(packed)} bytes cannot be {runs} x {n} predictions")
        found = np.frombuffer(packed, "<f4").reshape(runs, n).astype(np.float64)
        if not np.isfinite(found).all():
            raise ValueError("a prediction is not finite")
        return found


@dataclass(frozen=True)
class Number:
    """One number and what it is called."""

    value: float
    name: str

    def columns(self, top: int | None) -> list[str]:
        return [f"{self.value:.4f}"]

    def as_dict(self, top: int | None) -> dict[str, Any]:
        return {self.name: round(self.value, 6)}


class Numbers:
    """Labels that are numbers within `LARGEST`."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self.found = {role: array("d") for role in files}

    def read(self, role: str, row: int, text: str) -> float:
        try:
            value = math.nan if "_" in text else float(text)  # Python reads 1_000 as a number
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:
            raise UserError(
                f"{self.files[role]}, row {row + 1}: the label '{one_line(text)}' is not a number"
                f" from {-LARGEST:g} to {LARGEST:g}"
            )
        self.found[role].append(value)
        return value

    def log(self, role: str) -> None:
        kind = Regression()
        logging.info("  labels: %s", kind.describe(kind.summary(np.array(self.found[role]), ())))

    def names(self) -> tuple[str, ...]:
        """UserError where all labels of a file are the same."""
        for role, labels in self.found.items():
            if not labels:
                raise UserError(f"{self.files[role]} has no label at all (--label-column names it)")
            largest = max(map(abs, labels))
            if largest > SLOW:
                logging.warning(
                    "%s has labels as large as %g, which take long to learn: scale them to a few"
                    " units, such as 3.5 for 350000",
                    self.files[role],
                    largest,
                )
            if min(labels) == max(labels):
                raise UserError(
                    f"{self.files[role]} has the label {labels[0]:g} in every row: regression needs"
                    " different numbers"
                )
        return ("score",)

    def final(self, labels: np.ndarray) -> np.ndarray:
        return labels
