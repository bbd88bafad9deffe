"""Baselines against values worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from distillery import baselines
from distillery.data.store import Split
from distillery.errors import UserError
from distillery.recipes import BaselineRecipe, NbsvmRecipe, Recipe
from distillery.students import BASELINES

MakeSplit = Callable[..., Split]


@pytest.fixture
def make_split(tmp_path: Path) -> MakeSplit:
    """Makes a split of texts, or of pairs of texts, and labels."""

    def make(texts: list[str], labels: list[int], pairs: list[str] | None = None) -> Split:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        columns = {"text": texts} | ({"text_pair": pairs} if pairs else {})
        pq.write_table(pa.table(columns), path)
        ids = np.arange(len(texts), dtype=np.uint64)
        return Split("train", path, ids, np.array(labels), pairs is not None, "")

    return make


GOOD = ["good fine film", "fine and good", "a good plot", "good acting, fine songs"]
BAD = ["bad dull film", "dull and bad", "a bad plot", "bad acting, dull songs"]
LEARN = {"tfidf": BaselineRecipe(), "nbsvm": NbsvmRecipe()}


def test_every_baseline_has_a_function() -> None:
    assert tuple(baselines.FIT) == BASELINES


def test_log_count_ratio() -> None:
    # alpha 1: p = (3, 1, 2) of 6, q = (1, 3, 2) of 6
    features = sparse.csr_matrix(np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1]]))
    positive = np.array([True, True, False, False])
    found = baselines.log_count_ratio(features, positive, 1.0)
    assert found == pytest.approx([np.log(3), -np.log(3), 0.0])
    # alpha 0.5 and uneven classes: p = (1.5, 0.5, 0.5) of 2.5, q = (1.5, 2.5, 2.5) of 6.5
    positive = np.array([True, False, False, False])
    found = baselines.log_count_ratio(features, positive, 0.5)
    assert found == pytest.approx(np.log([2.6, 0.52, 0.52]))


def test_interpolation_goes_from_naive_bayes_to_the_svm() -> None:
    ratios, weights = np.array([[2.0, -1.0]]), np.array([[0.5, -0.1]])
    fitted = baselines.Nbsvm(np.array([0, 1]), ratios, weights, np.zeros(1))
    assert fitted.interpolated(1.0).weights == pytest.approx(weights)
    assert fitted.interpolated(0.0).weights == pytest.approx(np.full((1, 2), 0.3))
    assert fitted.interpolated(0.25).weights == pytest.approx(np.array([[0.35, 0.2]]))
    rows = sparse.csr_matrix(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert fitted.predict(rows).tolist() == [1, 1]  # 2 * 0.5, -1 * -0.1
    assert fitted.interpolated(0.25).predict(rows).tolist() == [1, 0]
    assert fitted.parameters == 3


@pytest.mark.parametrize("name", LEARN)
def test_words_are_learnt(name: str, make_split: MakeSplit) -> None:
    train = make_split([*GOOD, *BAD], [1] * 4 + [0] * 4)
    dev = make_split(["so fine", "so dull"], [1, 0])
    fitted = baselines.FIT[name](train, dev, replace(LEARN[name], min_rows=1), "accuracy")
    test = make_split(["it was bad", "a fine one", "dull!"], [0, 1, 0])
    predicted, probabilities = fitted.predict(test)
    assert predicted.tolist() == [0, 1, 0]
    assert (probabilities is None) == (name == "nbsvm")
    if probabilities is not None:
        assert probabilities.shape == (3, 2)
        assert probabilities.argmax(axis=1).tolist() == [0, 1, 0]
    assert set(fitted.facts["tried_on_dev"].values()) == {1.0}


@pytest.mark.parametrize("name", LEARN)
def test_labels_may_be_many_and_some_missing_in_train(name: str, make_split: MakeSplit) -> None:
    texts = [*GOOD, *BAD, "so so", "so so film", "plot so so", "songs so so"]
    train = make_split(texts, [3] * 4 + [0] * 4 + [1] * 4)
    fitted = baselines.FIT[name](train, train, replace(LEARN[name], min_rows=1), "accuracy")
    predicted, probabilities = fitted.predict(train)
    assert predicted.tolist() == train.labels.tolist()
    if probabilities is not None:
        assert probabilities.shape == (12, 4)
        assert not probabilities[:, 2].any()


@pytest.mark.parametrize("name", LEARN)
def test_what_both_texts_of_a_pair_say_counts(name: str, make_split: MakeSplit) -> None:
    words = ["cat", "dog", "cow", "hen"]
    first = [word for word in words for _ in words]
    second = words * 4
    labels = [int(a == b) for a, b in zip(first, second, strict=True)]
    train = make_split(first, labels, second)
    recipe = replace(LEARN[name], min_rows=1, inverse_regularization=(100.0,))
    fitted = baselines.FIT[name](train, train, recipe, "accuracy")
    assert fitted.predict(train)[0].tolist() == labels


def test_the_first_of_equals_on_dev_is_taken(make_split: MakeSplit) -> None:
    train = make_split([*GOOD, *BAD], [1] * 4 + [0] * 4)
    recipe = NbsvmRecipe(inverse_regularization=(0.1, 1.0), interpolation=(0.5, 1.0))
    found = baselines.nbsvm(train, train, recipe, "accuracy")
    assert [*found.facts["tried_on_dev"]] == [
        *("C 0.1, beta 0.5", "C 0.1, beta 1", "C 1, beta 0.5", "C 1, beta 1"),
    ]


def test_majority(make_split: MakeSplit) -> None:
    train = make_split(["a", "b", "c"], [1, 1, 0])
    fitted = baselines.majority(train, train, Recipe(), "accuracy")
    predicted, probabilities = fitted.predict(train)
    assert predicted.tolist() == [1, 1, 1]
    assert probabilities is None
    assert fitted.parameters == 0


@pytest.mark.parametrize("name", LEARN)
def test_a_train_without_words_is_refused(name: str, make_split: MakeSplit) -> None:
    train = make_split(["one", "two"], [0, 1])
    recipe = replace(LEARN[name], min_rows=2)
    with pytest.raises(UserError, match="no word stands in 2 rows of train"):
        baselines.FIT[name](train, train, recipe, "accuracy")
