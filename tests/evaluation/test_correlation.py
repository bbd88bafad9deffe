"""Correlations against scipy, intervals against what they mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distillery.evaluation.correlation import METRICS, gain_interval, mse, pearson, spearman

PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.floats(-10, 10)), min_size=3, max_size=40)


@settings(deadline=None)
@given(PAIRS)
def test_correlations_are_those_of_scipy(rows: list[tuple[int, float]]) -> None:
    """With ties, as labels have them."""
    labels, predicted = np.array(rows, np.float64).T.round(3)
    if np.ptp(labels) and np.ptp(predicted):
        assert pearson(labels, predicted) == pytest.approx(stats.pearsonr(labels, predicted)[0])
        assert spearman(labels, predicted) == pytest.approx(stats.spearmanr(labels, predicted)[0])
    else:
        assert pearson(labels, predicted) == spearman(labels, predicted) == 0


def test_by_hand() -> None:
    labels = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(labels, np.array([1.0, 4.0, 9.0, 16.0])) == pytest.approx(1)
    assert spearman(labels, -(labels**3)) == pytest.approx(-1)
    # ranks 0, 1.5, 1.5, 3 about their mean: -1.5, 0, 0, 1.5
    assert spearman(labels, np.array([0.0, 1.0, 1.0, 5.0])) == pytest.approx(4.5 / 22.5**0.5)
    assert mse(labels, np.array([1.0, 2.0, 3.0, 6.0])) == 1


def _models(*noise: float) -> tuple[np.ndarray, list[np.ndarray]]:
    generator = np.random.default_rng(3)
    true = generator.normal(size=300)
    return true, [true + one * generator.normal(size=300) for one in noise]


@pytest.mark.parametrize("metric", list(METRICS))
def test_interval_is_that_of_scipys_paired_bootstrap(metric: str) -> None:
    labels, (before, after) = _models(1.0, 0.5)

    def gain(*rows: np.ndarray) -> float:
        return METRICS[metric](rows[0], rows[2]) - METRICS[metric](rows[0], rows[1])

    expected = stats.bootstrap(
        (labels, before, after),
        gain,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        random_state=np.random.default_rng(1),
    ).confidence_interval
    found = gain_interval(labels, before[None], after[None], metric)
    width = expected.high - expected.low
    assert found == pytest.approx((expected.low, expected.high), abs=0.12 * width)


def test_scores_are_averaged_over_the_seeds() -> None:
    labels, models = _models(1.0, 0.8, 0.5)
    low, high = gain_interval(labels, np.stack(models[:2]), models[2][None], "spearman")
    scores = [spearman(labels, model) for model in models]
    assert low < scores[2] - (scores[0] + scores[1]) / 2 < high
    doubled = gain_interval(labels, np.stack([models[0]] * 2), models[2][None], "spearman")
    alone = gain_interval(labels, models[0][None], models[2][None], "spearman")
    assert doubled == pytest.approx(alone)


def test_equal_models_gain_nothing_and_a_seed_gives_the_same_interval() -> None:
    labels, (before, after) = _models(1.0, 0.5)
    assert gain_interval(labels, after[None], after[None], "pearson") == (0, 0)
    first, again, other = (
        gain_interval(labels, before[None], after[None], "pearson", seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("value", [0.1, 2.7])
def test_a_constant_answer_has_no_correlation_at_all(value: float) -> None:
    labels, constant = np.linspace(0, 5, 7), np.full(7, value)
    assert pearson(labels, constant) == spearman(constant, labels) == 0
