"""Metrics of predicted numbers, and whether two models differ in them on the same rows."""

from collections.abc import Callable

import numpy as np

from distillery.evaluation.metrics import percentiles

RESAMPLES = 2_000  # fewer than for classification: each one has to sort for its ranks


def pearson(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The linear correlation of (N,) numbers, -1 to 1; 0 where all labels or predictions agree."""
    if not np.ptp(labels) or not np.ptp(predicted):
        return 0.0
    one, two = (np.asarray(v, np.float64) - np.mean(v) for v in (labels, predicted))
    return float(one @ two / np.sqrt((one @ one) * (two @ two)))


def spearman(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation of the ranks; equal numbers share the mean of their ranks."""
    from scipy.stats import rankdata

    return pearson(rankdata(labels), rankdata(predicted))


def mse(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean squared error."""
    return float(np.square(labels - predicted).mean())


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "spearman": spearman,
    "pearson": pearson,
    "mse": mse,
}


def gain_interval(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray, metric: str, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of what `after` scores above `before`, by the paired bootstrap over rows.

    labels: (N,). before, after: predictions (runs, N). As `metrics.gain_interval`, which
    counts rows of equal kind; numbers are all different, so rows are drawn themselves.
    """
    score = METRICS[metric]
    generator = np.random.default_rng(seed)
    differences = []
    for _ in range(RESAMPLES):
        rows = generator.integers(len(labels), size=len(labels))
        drawn = labels[rows]
        first, second = (
            np.mean([score(drawn, run[rows]) for run in runs]) for runs in (before, after)
        )
        differences.append(second - first)
    return percentiles(np.array(differences))
