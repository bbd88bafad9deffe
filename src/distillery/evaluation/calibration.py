"""How far a model's probabilities are from how often it is right."""

import numpy as np

BINS = 15  # as in the paper's tables


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, labels) logits -> probabilities, float64, each row of sum 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


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
