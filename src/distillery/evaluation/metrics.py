"""Metrics of classification, by name, as functions of confusion matrices; calibration; and whether
two models differ on the same test rows, and by how much.

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
    result: np.ndarray = _hits(counts).sum(axis=-1) / counts.sum(axis=(-2, -1))
    return result


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each label that occurs or is predicted, averaged."""
    occurring = counts.sum(axis=-1) + counts.sum(axis=-2)
    each = 2 * _hits(counts) / np.maximum(occurring, 1)
    result: np.ndarray = each.sum(axis=-1) / (occurring > 0).sum(axis=-1)
    return result


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of the second of two labels, as GLUE scores MRPC; 0 where it neither occurs nor is
    predicted."""
    occurring = counts[..., 1, :].sum(axis=-1) + counts[..., :, 1].sum(axis=-1)
    result: np.ndarray = 2 * counts[..., 1, 1] / np.maximum(occurring, 1)
    return result


def matthews(counts: np.ndarray) -> np.ndarray:
    """Matthews' correlation of labels and predictions, -1 to 1; 0 where all labels or all
    predictions agree (for any number of labels: Gorodkin 2004)."""
    counts = counts.astype(np.float64)
    rows, true, predicted = counts.sum(axis=(-2, -1)), counts.sum(axis=-1), counts.sum(axis=-2)
    covariance = _hits(counts).sum(axis=-1) * rows - (true * predicted).sum(axis=-1)
    spread = (rows**2 - (true**2).sum(axis=-1)) * (rows**2 - (predicted**2).sum(axis=-1))
    result: np.ndarray = covariance / np.sqrt(np.where(spread > 0, spread, np.inf))
    return result


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


BINS = 15  # as in the paper's tables


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, labels) logits -> probabilities, float64, each row of sum 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    result: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return result


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error, 0 (best) to 1 (Guo et al. 2017, arXiv:1706.04599, eq. 3).

    labels: (N,). probabilities: (N, labels). Rows are put into 15 bins of equal width by the
    probability p of the predicted label, bin m being ((m - 1) / 15, m / 15]; the error is the mean
    over the rows of |accuracy - mean p| of their bin.
    """
    top = probabilities.max(axis=1)
    bins = np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = (probabilities.argmax(axis=1) == labels) - top
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(labels))


RESAMPLES = 10_000
BATCH = 1_000  # test sets drawn at once


def gain_interval(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray, metric: str, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of what `after` scores above `before`, by the paired bootstrap over rows.

    labels: (N,). before, after: predictions (runs, N), a run per seed; a model's score is the mean
    over its runs; every resample takes the same rows of all runs. The bounds are percentiles of the
    differences over resampled test sets (Efron & Tibshirani 1993, chapter 13; Koehn 2004,
    "Statistical significance tests for machine translation evaluation"). They tell how the gain of
    these models would vary over test sets, not how it varies over seeds.

    Rows with the same label and predictions are exchangeable, so a test set is drawn as the number
    of rows of each such group: one draw from a multinomial distribution, whatever N is.
    """
    table = np.concatenate([labels[None, :], before, after])  # (1 + runs, N)
    kinds, rows = np.unique(table, axis=1, return_counts=True)  # (1 + runs, K), (K,)
    count = max(2, int(table.max()) + 1)
    generator = np.random.default_rng(seed)
    differences = []
    for _ in range(RESAMPLES // BATCH):
        drawn = generator.multinomial(len(labels), rows / len(labels), BATCH).astype(np.float32)
        scores = [
            METRICS[metric](_confusions(kinds[0], predicted, drawn, count))
            for predicted in kinds[1:]
        ]
        first, second = scores[: len(before)], scores[len(before) :]
        differences.append(np.mean(second, axis=0) - np.mean(first, axis=0))
    return percentiles(np.concatenate(differences))


def percentiles(differences: np.ndarray) -> tuple[float, float]:
    """The interval that holds the middle 95 % of the differences."""
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def _confusions(
    labels: np.ndarray, predicted: np.ndarray, drawn: np.ndarray, count: int
) -> np.ndarray:
    """Labels (K,) and predictions (K,) of each kind, rows drawn (B, K) of it -> confusion matrices
    (B, count, count)."""
    cells = np.zeros((len(labels), count * count), np.float32)  # exact up to 2^24 rows
    cells[np.arange(len(labels)), labels * count + predicted] = 1
    return (drawn @ cells).astype(np.float64).reshape(-1, count, count)


def mcnemar(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """The p of two models (N,) being right equally often, by McNemar's exact test, two-sided.

    Of the rows that one of them alone has right, either has half then: a binomial distribution
    (McNemar 1947; Dietterich 1998, "Approximate statistical tests", section 3.1).
    """
    from scipy import stats

    right, other = before == labels, after == labels
    only = int((right & ~other).sum()), int((~right & other).sum())
    return float(stats.binomtest(only[0], sum(only), 0.5).pvalue) if sum(only) else 1.0


def agreement(predicted: np.ndarray, other: np.ndarray) -> float:
    """The share of rows (..., N) on which two models say the same, whether right or wrong."""
    return float((predicted == other).mean())
