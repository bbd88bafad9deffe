"""Metrics of classification, by name, as functions of confusion matrices.

A confusion matrix (labels, labels) counts rows: true labels down, predicted ones across. Metrics
keep leading dimensions, (..., labels, labels) -> (...), so that thousands of resampled test sets
are scored at once.
"""

from collections.abc import Callable

import numpy as np


def confusion(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The confusion matrix of (N,) label numbers, of two labels at least."""
    count = max(2, int(labels.max()) + 1, int(predicted.max()) + 1)
    cells = np.bincount(labels * count + predicted, minlength=count * count)
    return cells.reshape(count, count)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """The share of rows that are predicted right."""
    found: np.ndarray = _hits(counts).sum(axis=-1) / counts.sum(axis=(-2, -1))
    return found


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each label that occurs or is predicted, averaged."""
    occurring = counts.sum(axis=-1) + counts.sum(axis=-2)
    each = 2 * _hits(counts) / np.maximum(occurring, 1)
    found: np.ndarray = each.sum(axis=-1) / (occurring > 0).sum(axis=-1)
    return found


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of the second of two labels, as GLUE scores MRPC; 0 where it neither occurs nor is
    predicted."""
    occurring = counts[..., 1, :].sum(axis=-1) + counts[..., :, 1].sum(axis=-1)
    found: np.ndarray = 2 * counts[..., 1, 1] / np.maximum(occurring, 1)
    return found


def matthews(counts: np.ndarray) -> np.ndarray:
    """Matthews' correlation of labels and predictions, -1 to 1; 0 where all labels or all
    predictions agree (for any number of labels: Gorodkin 2004)."""
    counts = counts.astype(np.float64)
    rows, true, predicted = counts.sum(axis=(-2, -1)), counts.sum(axis=-1), counts.sum(axis=-2)
    covariance = _hits(counts).sum(axis=-1) * rows - (true * predicted).sum(axis=-1)
    spread = (rows**2 - (true**2).sum(axis=-1)) * (rows**2 - (predicted**2).sum(axis=-1))
    found: np.ndarray = covariance / np.sqrt(np.where(spread > 0, spread, np.inf))
    return found


EVERY_TASK = ("accuracy", "macro_f1")  # measured beside a task's main metric
METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "f1": f1,
    "matthews": matthews,
}


def scores(main: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The metrics of (N,) predictions, the task's main one first."""
    counts = confusion(labels, predicted)
    return {name: float(METRICS[name](counts)) for name in dict.fromkeys([main, *EVERY_TASK])}


def _hits(counts: np.ndarray) -> np.ndarray:
    """The diagonal: rows of each label that are predicted right."""
    return np.diagonal(counts, axis1=-2, axis2=-1)
