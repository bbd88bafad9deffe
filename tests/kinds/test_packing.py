"""Labels and predictions as results store them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.kinds import CLASSIFICATION, REGRESSION

PREDICTIONS = np.array([[0, 1, 1], [1, 1, 0]])


@settings(deadline=None)
@given(data=st.data(), count=st.integers(1, 9), runs=st.integers(1, 3), n=st.integers(1, 20))
def test_label_numbers_are_unpacked_as_packed(
    data: st.DataObject, count: int, runs: int, n: int
) -> None:
    names = [str(number) for number in range(count)]
    values = st.lists(st.integers(0, count - 1), min_size=runs * n, max_size=runs * n)
    predictions = np.array(data.draw(values), dtype=np.int64).reshape(runs, n)
    packed = CLASSIFICATION.pack(predictions, names)
    width = max(1, (count - 1).bit_length())
    assert len(packed) == -(-runs * n * width // 8)
    assert np.array_equal(CLASSIFICATION.unpack(packed, runs, n, names), predictions)


def test_two_labels_take_a_bit_each() -> None:
    # 0 1 1 1 1 0 and two bits of padding
    assert CLASSIFICATION.pack(PREDICTIONS, ["bad", "good"]) == bytes([0b01111000])


@pytest.mark.parametrize("packed", [b"", b"\x78\x00"])
def test_predictions_of_another_length_are_refused(packed: bytes) -> None:
    for kind in (CLASSIFICATION, REGRESSION):
        with pytest.raises(ValueError, match="bytes cannot be 2 x 3 predictions"):
            kind.unpack(packed, 2, 3, ["bad", "good"])


def test_a_label_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="3 is not the number of one of 3 labels"):
        CLASSIFICATION.unpack(b"\xff", 1, 4, ["bad", "fair", "good"])


def test_numbers_are_unpacked_as_packed_in_single_precision() -> None:
    values = np.array([[0.0, 3.8, -1e30], [5.0, 1 / 3, 2.5]])
    packed = REGRESSION.pack(values, ["score"])
    assert len(packed) == 4 * 6
    found = REGRESSION.unpack(packed, 2, 3, ["score"])
    assert found.dtype == np.float64
    assert found == pytest.approx(values, rel=1e-7)


def test_numbers_that_are_not_finite_are_refused() -> None:
    packed = REGRESSION.pack(np.array([[np.nan, np.inf]]), ["score"])
    with pytest.raises(ValueError, match="not finite"):
        REGRESSION.unpack(packed, 1, 2, ["score"])
