"""Which reviews a model is timed on: batches of every length of a test set, fresh in every turn."""

from dataclasses import dataclass

import numpy as np

ORDERS = ("shuffled", "sorted")


@dataclass(frozen=True)
class Plan:
    """A test set in batches. Batch i is order[i * size:(i + 1) * size], from long to short.

    order: (N,) row numbers; what is left over at the end is in no batch.
    """

    order: np.ndarray
    size: int

    def __len__(self) -> int:
        return max(1, len(self.order) // self.size)

    def batch(self, number: int) -> np.ndarray:
        return self.order[number * self.size : (number + 1) * self.size]


def plan(lengths: np.ndarray, size: int, order: str) -> Plan:
    """Batches of `size` rows of like length (sorted), or as they come (shuffled).

    lengths: (N,), of what is sorted by.
    """
    if order == "sorted":
        return Plan(np.argsort(-lengths.astype(np.int64), kind="stable"), size)
    shuffled = np.random.default_rng(0).permutation(len(lengths))
    whole = len(shuffled) // size * size
    if not whole:
        return Plan(shuffled, size)
    rows = shuffled[:whole].reshape(-1, size)
    longest = lengths[rows].max(axis=1).astype(np.int64)
    return Plan(rows[np.argsort(-longest, kind="stable")].ravel(), size)


def sample(batches: int, calls: int, turns: int, turn: int) -> np.ndarray:
    """The numbers (calls,) of the batches of one turn, spread evenly over a plan of `batches`.

    Call i of every turn is a neighbour of the same place: a batch of nearly the same length, but
    of other reviews, as long as calls * turns is at most `batches`.
    """
    middles = ((np.arange(calls) + 0.5) / calls * batches).astype(np.int64)
    found: np.ndarray = (middles - turns // 2 + turn) % batches
    return found


def seconds_of(turns: np.ndarray) -> float:
    """Seconds of a turn, from (turns, calls) seconds: the sum over calls of the median turn."""
    return float(np.median(turns, axis=0).sum())
