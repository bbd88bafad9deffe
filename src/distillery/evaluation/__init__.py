"""Metrics, and what they are worth: arrays in, numbers out; no file is read."""

from collections.abc import Sequence

LOWER_IS_BETTER = frozenset({"loss", "mse"})  # of every other metric, higher is better


def best(metric: str, values: Sequence[float]) -> int:
    """The index of the best of some values of a metric, the first of equals."""
    return values.index(min(values) if metric in LOWER_IS_BETTER else max(values))
