"""Metrics of classification, by name."""

from collections.abc import Callable

import numpy as np


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    return float((labels == predicted).mean())


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each label that occurs, averaged."""
    from sklearn import metrics  # a second of import, for this alone

    return float(metrics.f1_score(labels, predicted, average="macro"))


def f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of the second of two labels, as GLUE scores MRPC; 0 where it is never predicted."""
    from sklearn import metrics

    return float(metrics.f1_score(labels, predicted, pos_label=1, zero_division=0))


def matthews(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews' correlation of labels and predictions, -1 to 1; 0 where all predictions agree."""
    from sklearn import metrics

    return float(metrics.matthews_corrcoef(labels, predicted))


EVERY_TASK = ("accuracy", "macro_f1")  # measured beside a task's main metric
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "f1": f1,
    "matthews": matthews,
}


def scores(main: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The metrics of (N,) predictions, the task's main one first."""
    names = dict.fromkeys([main, *EVERY_TASK])
    return {name: METRICS[name](labels, predicted) for name in names}
