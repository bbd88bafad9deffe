"""Metrics of classification, by name."""

from collections.abc import Callable

import numpy as np


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    return float((labels == predicted).mean())


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each label that occurs, averaged."""
    from sklearn import metrics  # a second of import, for this alone

    return float(metrics.f1_score(labels, predicted, average="macro"))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
}


def scores(main: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Every metric of (N,) predictions, the task's main one first."""
    names = [main, *(name for name in METRICS if name != main)]
    return {name: METRICS[name](labels, predicted) for name in names}
