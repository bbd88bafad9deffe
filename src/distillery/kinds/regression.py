"""Regression: one number for a text or a pair of texts, such as how alike two sentences are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from distillery.errors import UserError
from distillery.evaluation import LOWER_IS_BETTER, correlation
from distillery.kinds.base import Kind


class Regression(Kind):
    """Labels are the numbers themselves; `task.labels` holds the name of the one output."""

    name = "regression"
    dtype = np.float64
    missing = np.nan
    metrics = ("spearman", "pearson", "mse")
    baselines: ClassVar = {"mean": "mean of train", "ridge": "TF-IDF + ridge regression"}

    def label_reader(self, declared: Sequence[str] | None) -> "Numbers":
        if declared:
            raise UserError("--labels is for classification: regression has numbers as labels")
        return Numbers()

    def groups(self, labels: np.ndarray) -> np.ndarray:
        """The nearest whole number: dev then has low, middle and high ones like train."""
        found: np.ndarray = np.rint(labels).astype(np.int64)
        return found

    def summary(self, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """Lowest, mean and highest."""
        if not len(labels):
            return {}
        found = {"lowest": labels.min(), "mean": labels.mean(), "highest": labels.max()}
        return {name: round(float(value), 4) for name, value in found.items()}

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
    """Labels that are finite numbers."""

    def read(self, text: str, where: str) -> float:
        raise NotImplementedError

    def finish(self, found: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
        raise NotImplementedError

    def numbers(self, labels: np.ndarray) -> np.ndarray:
        return labels
