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


def test_f1_is_that_of_the_second_label() -> None:
    # precision 1/2, recall 1/3
    labels, predicted = np.array([1, 1, 1, 0, 0]), np.array([1, 0, 0, 1, 0])
    assert metrics.f1(labels, predicted) == pytest.approx(2 / 5)
    assert metrics.f1(labels, np.zeros(5, np.int64)) == 0


def test_matthews_is_the_correlation() -> None:
    # (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)), here of 2, 1, 1, 1
    labels, predicted = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    assert metrics.matthews(labels, predicted) == pytest.approx((2 - 1) / 36**0.5)
    assert metrics.matthews(labels, 1 - labels) == pytest.approx(-1)
    assert metrics.matthews(labels, np.ones(5, np.int64)) == 0


@pytest.mark.parametrize("main", list(metrics.METRICS))
def test_main_metric_comes_first_and_those_of_every_task_follow(main: str) -> None:
    labels, predicted = np.minimum(LABELS, 1), np.minimum(PREDICTED, 1)
    found = metrics.scores(main, labels, predicted)
    assert next(iter(found)) == main
    assert found.keys() == {main, *metrics.EVERY_TASK}
    assert found["accuracy"] == pytest.approx(5 / 6)


def test_perfect_predictions_score_one() -> None:
    assert set(metrics.scores("accuracy", LABELS, LABELS).values()) == {1.0}


def test_scores_are_plain_numbers() -> None:
    assert {type(value) for value in metrics.scores("accuracy", LABELS, PREDICTED).values()} == {
        float
    }
