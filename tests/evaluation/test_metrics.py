"""Metrics against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from distillery.evaluation import metrics


def score(name: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    return metrics.scores(name, labels, predicted)[name]


LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_accuracy_is_the_share_of_hits() -> None:
    assert score("accuracy", LABELS, PREDICTED) == pytest.approx(4 / 6)


def test_macro_f1_is_the_mean_over_labels() -> None:
    # label 0: precision 2/2, recall 2/3, F1 4/5; label 1: 1/2, 1/2, 1/2; label 2: 1/2, 1/1, 2/3
    expected = (4 / 5 + 1 / 2 + 2 / 3) / 3
    assert score("macro_f1", LABELS, PREDICTED) == pytest.approx(expected)


def test_macro_f1_punishes_the_majority_class() -> None:
    # label 0: precision 9/10, recall 1, F1 18/19; label 1: 0
    labels = np.array([0] * 9 + [1])
    predicted = np.zeros(10, np.int64)
    assert score("accuracy", labels, predicted) == pytest.approx(0.9)
    assert score("macro_f1", labels, predicted) == pytest.approx(9 / 19)


def test_confusion_counts_true_labels_down_and_predicted_ones_across() -> None:
    assert metrics.confusion(LABELS, PREDICTED).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert metrics.confusion(np.zeros(3, int), np.zeros(3, int)).tolist() == [[3, 0], [0, 0]]


@pytest.mark.parametrize("name", list(metrics.METRICS))
def test_many_test_sets_are_scored_at_once(name: str) -> None:
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 3, (2, 4, 5, 20))
    counts = np.array(
        [
            [metrics.confusion(*pair) for pair in zip(*rows, strict=True)]
            for rows in zip(labels, predicted, strict=True)
        ]
    )
    found = metrics.METRICS[name](counts)
    assert found.shape == (4, 5)
    assert found[2, 3] == score(name, labels[2, 3], predicted[2, 3])


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30),
)
def test_metrics_are_those_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(rows).T
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "macro_f1": sklearn_metrics.f1_score(labels, predicted, average="macro"),
        "matthews": sklearn_metrics.matthews_corrcoef(labels, predicted),
    }
    assert metrics.scores("matthews", labels, predicted) == pytest.approx(expected)
    two, told = labels % 2, predicted % 2
    expected_f1 = sklearn_metrics.f1_score(two, told, zero_division=0)
    assert score("f1", two, told) == pytest.approx(expected_f1)


def test_f1_is_that_of_the_second_label() -> None:
    # precision 1/2, recall 1/3
    labels, predicted = np.array([1, 1, 1, 0, 0]), np.array([1, 0, 0, 1, 0])
    assert score("f1", labels, predicted) == pytest.approx(2 / 5)
    assert score("f1", labels, np.zeros(5, np.int64)) == 0


def test_matthews_is_the_correlation() -> None:
    # (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)), here of 2, 1, 1, 1
    labels, predicted = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    assert score("matthews", labels, predicted) == pytest.approx((2 - 1) / 36**0.5)
    assert score("matthews", labels, 1 - labels) == pytest.approx(-1)
    assert score("matthews", labels, np.ones(5, np.int64)) == 0


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
