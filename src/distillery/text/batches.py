"""Batches of texts of like length, so that few computed tokens are padding."""

import numpy as np

POOL = 64  # batches that are sorted by length together: small enough to stay random


def training(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of an epoch: every row once, in an order fixed by seed and epoch."""
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = order[start : start + batch_size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def inference(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Rows from the longest to the shortest, each batch at most `tokens` with its padding."""
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches
