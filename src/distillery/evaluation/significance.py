"""Whether two models differ on the same test rows, and by how much."""

import numpy as np

from distillery.evaluation.metrics import METRICS

RESAMPLES = 10_000
BATCH = 1_000  # test sets drawn at once


def gain_interval(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray, metric: str, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of what `after` scores above `before`, by the paired bootstrap over rows.

    labels: (N,). before, after: predictions (runs, N), a run per seed; a model's score is the mean
    over its runs, all of which are drawn the same rows. The bounds are percentiles of the
    differences over resampled test sets (Efron & Tibshirani 1993, chapter 13; Koehn 2004,
    "Statistical significance tests for machine translation evaluation"). They tell how the gain of
    these models would vary over test sets, not how it varies over seeds.

    Rows with the same label and predictions are exchangeable, so a test set is drawn as the number
    of rows of each such kind: one draw from a multinomial distribution, whatever N is.
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
    found: np.ndarray = (drawn @ cells).astype(np.float64).reshape(-1, count, count)
    return found


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
