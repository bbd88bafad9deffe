"""Batches: every row once, in an order of its own, with little padding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distillery.text import encode

LENGTHS = np.random.default_rng(0).integers(2, 200, 1000)
lengths = st.lists(st.integers(1, 50), min_size=1, max_size=200).map(np.array)


@given(lengths=lengths, size=st.integers(1, 40), epoch=st.integers(0, 3))
def test_training_takes_every_row_once(lengths: np.ndarray, size: int, epoch: int) -> None:
    plan = encode.training_batches(lengths, size, seed=1, epoch=epoch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert len(plan) == -(-len(lengths) // size)
    assert max(map(len, plan)) <= size


def test_training_order_is_fixed_by_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(encode.training_batches(LENGTHS, 8, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_training_batches_hold_texts_of_like_length_in_random_order() -> None:
    plan = encode.training_batches(LENGTHS, 8, seed=0, epoch=0)
    spread = [int(np.ptp(LENGTHS[rows])) for rows in plan]
    assert np.mean(spread) < 10  # of 200; at random it would be near 150
    longest = [int(LENGTHS[rows].max()) for rows in plan]
    assert longest != sorted(longest)


@given(lengths=lengths, tokens=st.integers(1, 400))
def test_inference_takes_every_row_once_and_keeps_to_its_tokens(
    lengths: np.ndarray, tokens: int
) -> None:
    plan = encode.inference_batches(lengths, tokens)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert all(lengths[rows].max() * len(rows) <= tokens for rows in plan if len(rows) > 1)
    assert np.all(np.diff(lengths[np.concatenate(plan)]) <= 0)


def test_inference_of_no_rows_is_no_batch() -> None:
    assert encode.inference_batches(np.zeros(0, np.int64), 10) == []


def test_of_20_computed_tokens_19_are_text() -> None:
    random = np.random.default_rng(0)
    lengths = random.lognormal(5.3, 0.6, 20_000).clip(10, 256).astype(np.int64)  # like reviews
    computed = sum(
        lengths[rows].max() * len(rows)
        for rows in encode.training_batches(lengths, 32, seed=0, epoch=0)
    )
    assert lengths.sum() / computed > 0.95
