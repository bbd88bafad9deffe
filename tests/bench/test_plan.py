"""Which rows are timed: spread over the lengths, and fresh in every turn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.bench import contender

LENGTHS = np.random.default_rng(0).integers(3, 257, 500)


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 300))
def test_no_batch_is_sampled_twice_where_there_are_enough(
    calls: int, turns: int, more: int
) -> None:
    batches = calls * turns + more
    found = np.concatenate([contender.sample(batches, calls, turns, turn) for turn in range(turns)])
    assert len(set(found.tolist())) == calls * turns
    assert 0 <= found.min() <= found.max() < batches


def test_turns_are_neighbours_and_calls_spread_evenly() -> None:
    assert contender.sample(100, 2, 4, 0).tolist() == [23, 73]
    assert contender.sample(100, 2, 4, 3).tolist() == [26, 76]
    assert contender.sample(3, 4, 5, 4).max() < 3  # too few batches: they come again


@pytest.mark.parametrize("order", contender.ORDERS)
@pytest.mark.parametrize("size", [1, 32, 999])
def test_batches_go_from_long_to_short(order: str, size: int) -> None:
    batches = contender.plan(LENGTHS, size, order)
    longest = [LENGTHS[batches.batch(number)].max() for number in range(len(batches))]
    assert longest == sorted(longest, reverse=True)
    assert len(batches) == max(1, 500 // size)
    rows = np.concatenate([batches.batch(number) for number in range(len(batches))])
    assert len(set(rows.tolist())) == len(rows) == min(500, len(batches) * size)


def test_batches_of_like_length_hold_less_padding() -> None:
    def computed(order: str) -> int:
        batches = contender.plan(LENGTHS, 32, order)
        return sum(32 * int(LENGTHS[batches.batch(n)].max()) for n in range(len(batches)))

    assert computed("sorted") < 0.7 * computed("shuffled")


def test_a_disturbed_turn_does_not_count() -> None:
    turns = np.array([[1.0, 2.0], [1.0, 2.0], [9.0, 2.0]])
    assert contender.seconds_of(turns) == 3.0
