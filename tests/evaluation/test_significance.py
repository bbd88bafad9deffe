"""Significance against values worked out by hand and against plain resampling."""

import math

import numpy as np
import pytest

from distillery.evaluation import metrics
from distillery.evaluation.metrics import agreement, gain_interval, mcnemar


def score(name: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    return metrics.scores(name, labels, predicted)[name]


def _models(rows: int, labels: int, *rates: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """True labels and, per rate, predictions that are right as often as that or more."""
    generator = np.random.default_rng(7)
    true = generator.integers(0, labels, rows)
    guesses = [generator.integers(0, labels, rows) for _ in rates]
    return true, [
        np.where(generator.random(rows) < rate, true, guess)
        for rate, guess in zip(rates, guesses, strict=True)
    ]


@pytest.mark.parametrize("metric", list(metrics.METRICS))
def test_interval_is_that_of_plain_resampling(metric: str) -> None:
    labels, (before, after) = _models(400, 3, 0.5, 0.7)
    low, high = gain_interval(labels, before[None], after[None], metric)
    generator, plain = np.random.default_rng(1), []
    for _ in range(2000):
        rows = generator.integers(0, 400, 400)
        pair = [score(metric, labels[rows], model[rows]) for model in (before, after)]
        plain.append(pair[1] - pair[0])
    assert (low, high) == pytest.approx(tuple(np.percentile(plain, [2.5, 97.5])), abs=0.006)


def test_interval_of_accuracy_is_near_the_normal_one() -> None:
    labels, (before, after) = _models(20_000, 2, 0.8, 0.9)
    low, high = gain_interval(labels, before[None], after[None], "accuracy")
    differences = (after == labels).astype(float) - (before == labels)
    half = 1.96 * differences.std() / math.sqrt(len(labels))
    assert low == pytest.approx(differences.mean() - half, abs=2e-4)
    assert high == pytest.approx(differences.mean() + half, abs=2e-4)


def test_several_seeds_are_averaged_before_the_difference_is_taken() -> None:
    labels, models = _models(500, 2, 0.6, 0.7, 0.8)
    both = np.stack(models[:2])
    low, high = gain_interval(labels, both, models[2][None], "accuracy")
    scores = [score("accuracy", labels, model) for model in models]
    assert low < scores[2] - (scores[0] + scores[1]) / 2 < high
    alone = gain_interval(labels, models[0][None], models[2][None], "accuracy")
    assert (low, high) != alone
    doubled = gain_interval(labels, np.stack([models[0]] * 2), models[2][None], "accuracy")
    assert doubled == pytest.approx(alone, abs=1e-6)


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, (before, after) = _models(400, 3, 0.5, 0.7)
    first, again, other = (
        gain_interval(labels, before[None], after[None], "macro_f1", seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("metric", list(metrics.METRICS))
def test_few_rows_and_equal_models(metric: str) -> None:
    one = np.array([1])
    assert gain_interval(one, one[None], one[None], metric) == (0, 0)
    gain = 0 if metric == "matthews" else 1  # which is 0 where there is one label
    assert gain_interval(one, 0 * one[None], one[None], metric) == (gain, gain)
    labels, (model,) = _models(50, 3, 0.5)
    assert gain_interval(labels, model[None], model[None], metric) == (0, 0)


def test_mcnemar_by_hand() -> None:
    # 1 row that the first alone has right, 5 that the second alone has: 2 * (1 + 6) / 2^6
    labels = np.zeros(10, int)
    before = np.array([0, 1, 1, 1, 1, 1, 0, 0, 1, 1])
    after = np.array([1, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    assert mcnemar(labels, before, after) == pytest.approx(14 / 64)
    assert mcnemar(labels, after, before) == pytest.approx(14 / 64)


def test_mcnemar_of_models_that_are_right_together() -> None:
    labels = np.array([0, 1, 2])
    assert mcnemar(labels, labels, labels) == 1
    assert mcnemar(labels, np.array([1, 1, 2]), np.array([2, 1, 2])) == 1


def test_mcnemar_of_many_rows_is_near_the_chi_squared_test() -> None:
    labels, (before, after) = _models(20_000, 2, 0.80, 0.81)
    first, second = (before == labels), (after == labels)
    only, other = (first & ~second).sum(), (~first & second).sum()
    statistic = (abs(only - other) - 1) ** 2 / (only + other)
    expected = math.erfc(math.sqrt(statistic / 2))
    assert mcnemar(labels, before, after) == pytest.approx(expected, rel=0.05)


def test_agreement_counts_shared_errors_too() -> None:
    assert agreement(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])) == 0.75
    assert agreement(np.array([[0, 1], [1, 1]]), np.array([0, 1])) == 0.75
