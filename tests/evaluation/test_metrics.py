"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from distillery.evaluation import metrics

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_accuracy_is_the_share_of_hits() -> None:
    assert metrics.accuracy(LABELS, PREDICTED) == pytest.approx(4 / 6)


def test_macro_f1_is_the_mean_over_labels() -> None:
    # label 0: precision 2/2, recall 2/3, F1 4/5; label 1: 1/2, 1/2, 1/2; label 2: 1/2, 1/1, 2/3
    expected = (4 / 5 + 1 / 2 + 2 / 3) / 3
    assert metrics.macro_f1(LABELS, PREDICTED) == pytest.approx(expected)


def test_macro_f1_punishes_the_majority_class() -> None:
    # label 0: precision 9/10, recall 1, F1 18/19; label 1: 0
    labels = np.array([0] * 9 + [1])
    predicted = np.zeros(10, np.int64)
    assert metrics.accuracy(labels, predicted) == pytest.approx(0.9)
    assert metrics.macro_f1(labels, predicted) == pytest.approx(9 / 19)


@pytest.mark.parametrize("main", list(metrics.METRICS))
def test_main_metric_comes_first_and_all_are_given(main: str) -> None:
    found = metrics.scores(main, LABELS, PREDICTED)
    assert next(iter(found)) == main
    assert found.keys() == metrics.METRICS.keys()
    assert found["accuracy"] == pytest.approx(4 / 6)


def test_perfect_predictions_score_one() -> None:
    assert set(metrics.scores("accuracy", LABELS, LABELS).values()) == {1.0}


def test_scores_are_plain_numbers() -> None:
    assert {type(value) for value in metrics.scores("accuracy", LABELS, PREDICTED).values()} == {
        float
    }
