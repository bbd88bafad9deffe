"""Calibration against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.evaluation.metrics import expected_calibration_error, softmax


def test_softmax_of_logits_of_any_size() -> None:
    found = softmax(np.array([[0.0, np.log(3)], [1000.0, 1000.0], [-1000.0, 1000.0]], np.float32))
    assert found == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]]), abs=1e-6)
    assert found.dtype == np.float64


def test_the_error_is_the_mean_gap_of_the_bins() -> None:
    # p 0.9 three times, right twice: |2 - 2.7| = 0.7; p 0.6 once, right: |1 - 0.6| = 0.4
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 1])
    assert expected_calibration_error(labels, probabilities) == pytest.approx(1.1 / 4)


def test_rows_of_one_bin_make_up_for_each_other() -> None:
    # 0.81 and 0.86 lie in (12/15, 13/15]: |1 - 1.67| = 0.67; 0.79 lies below: |1 - 0.79| = 0.21
    probabilities = np.array([[0.81, 0.19], [0.86, 0.14], [0.79, 0.21]])
    labels = np.array([0, 1, 0])
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0.88 / 3)


def test_a_bin_holds_its_upper_edge() -> None:
    # both in (14/15, 1]: |1 - 1.99| = 0.99, where two bins would give 1 - 0.99 and 0 - 1
    probabilities = np.array([[0.99, 0.01], [1.0, 0.0]])
    assert expected_calibration_error(np.array([0, 1]), probabilities) == pytest.approx(0.99 / 2)


def test_the_best_and_the_worst() -> None:
    sure = np.eye(3)
    assert expected_calibration_error(np.array([0, 1, 2]), sure) == 0
    assert expected_calibration_error(np.array([1, 2, 0]), sure) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.integers(0, 1)), min_size=1, max_size=50))
def test_the_error_is_a_share(rows: list[tuple[float, int]]) -> None:
    logits = np.array([[0.0, value] for value, _ in rows])
    labels = np.array([label for _, label in rows])
    assert 0 <= expected_calibration_error(labels, softmax(logits)) <= 1
