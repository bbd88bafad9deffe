"""Baselines against values worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from distillery import baselines, kinds
from distillery.data.store import Split
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.evaluation.metrics import softmax
from distillery.recipes import BaselineRecipe, NbsvmRecipe, Recipe
from distillery.students import BASELINES

MakeSplit = Callable[..., Split]


@pytest.fixture
def make_split(tmp_path: Path) -> MakeSplit:
    """Makes a split of texts, or of pairs of texts, and labels."""

    def make(texts: list[str], labels: list[float], pairs: list[str] | None = None) -> Split:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        columns = {"text": texts} | ({"text_pair": pairs} if pairs else {})
        pq.write_table(pa.table(columns), path)
        ids = np.arange(len(texts), dtype=np.uint64)
        return Split("train", path, ids, np.array(labels), pairs is not None, "")

    return make


GOOD = ["good fine film", "fine and good", "a good plot", "good acting, fine songs"]
BAD = ["bad dull film", "dull and bad", "a bad plot", "bad acting, dull songs"]
LEARN = {"tfidf": BaselineRecipe(), "nbsvm": NbsvmRecipe()}
SCORES = Task("scores", ("score",), kinds.REGRESSION)


def films(labels: int) -> Task:
    return Task("films", tuple("abcd"[:labels]))


def test_every_baseline_has_a_function_and_fits_a_kind() -> None:
    assert [*baselines.FIT] == [*BASELINES]
    assert {kind for row in BASELINES.values() for kind in row.kinds} == {*kinds.KINDS}


def test_a_baseline_of_another_kind_is_refused() -> None:
    baselines.check("ridge", SCORES)
    with pytest.raises(UserError, match="'majority' is not for regression.*: choose from mean"):
        baselines.check("majority", SCORES)
    with pytest.raises(UserError, match="'ridge' is not for classification"):
        baselines.check("ridge", films(2))


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
    fitted = baselines.FIT[name](train, dev, replace(LEARN[name], min_rows=1), films(2))
    test = make_split(["it was bad", "a fine one", "dull!"], [0, 1, 0])
    predicted, logits = fitted.predict(test)
    assert predicted.tolist() == [0, 1, 0]
    assert (logits is None) == (name == "nbsvm")
    if logits is not None:
        assert logits.shape == (3, 2)
        assert logits.argmax(axis=1).tolist() == [0, 1, 0]
        assert softmax(logits) == pytest.approx(np.exp(logits))
    assert set(fitted.facts["tried_on_dev"].values()) == {1.0}


@pytest.mark.parametrize("name", LEARN)
def test_labels_may_be_many_and_some_missing_in_train(name: str, make_split: MakeSplit) -> None:
    texts = [*GOOD, *BAD, "so so", "so so film", "plot so so", "songs so so"]
    train = make_split(texts, [3] * 4 + [0] * 4 + [1] * 4)
    fitted = baselines.FIT[name](train, train, replace(LEARN[name], min_rows=1), films(4))
    predicted, logits = fitted.predict(train)
    assert predicted.tolist() == train.labels.tolist()
    if logits is not None:
        assert logits.shape == (12, 4)
        assert not softmax(logits)[:, 2].any()


@pytest.mark.parametrize("name", LEARN)
def test_what_both_texts_of_a_pair_say_counts(name: str, make_split: MakeSplit) -> None:
    words = ["cat", "dog", "cow", "hen"]
    first = [word for word in words for _ in words]
    second = words * 4
    labels = [int(a == b) for a, b in zip(first, second, strict=True)]
    train = make_split(first, labels, second)
    recipe = replace(LEARN[name], min_rows=1, inverse_regularization=(100.0,))
    fitted = baselines.FIT[name](train, train, recipe, films(2))
    assert fitted.predict(train)[0].tolist() == labels


def test_the_first_of_equals_on_dev_is_taken(make_split: MakeSplit) -> None:
    train = make_split([*GOOD, *BAD], [1] * 4 + [0] * 4)
    recipe = NbsvmRecipe(inverse_regularization=(0.1, 1.0), interpolation=(0.5, 1.0))
    found = baselines.nbsvm(train, train, recipe, films(2))
    assert [*found.facts["tried_on_dev"]] == [
        *("C 0.1, beta 0.5", "C 0.1, beta 1", "C 1, beta 0.5", "C 1, beta 1"),
    ]


def test_majority(make_split: MakeSplit) -> None:
    train = make_split(["a", "b", "c"], [1, 1, 0])
    fitted = baselines.majority(train, train, Recipe(), films(2))
    predicted, logits = fitted.predict(train)
    assert predicted.tolist() == [1, 1, 1]
    assert logits is None
    assert fitted.parameters == 0


def test_mean(make_split: MakeSplit) -> None:
    train = make_split(["a", "b", "c"], [1.0, 2.5, 4.0])
    fitted = baselines.mean(train, train, Recipe(), SCORES)
    predicted, logits = fitted.predict(train)
    assert predicted.tolist() == [2.5, 2.5, 2.5]
    assert logits is None


def test_ridge_learns_words(make_split: MakeSplit) -> None:
    train = make_split([*GOOD, *BAD], [5.0] * 4 + [1.0] * 4)
    dev = make_split(["so fine", "so dull", "a plot"], [5.0, 1.0, 3.0])
    recipe = BaselineRecipe(min_rows=1, inverse_regularization=(0.01, 10.0))
    fitted = baselines.ridge(train, dev, recipe, replace(SCORES, metric="mse"))
    tried = fitted.facts["tried_on_dev"]
    assert tried["C 10"] < tried["C 0.01"], "the smaller error is better"
    bad, fine, plot = fitted.predict(make_split(["it was bad", "a fine one", "plot"], [0.0] * 3))[0]
    assert bad < 2.5 < 2.9 < plot < 3.1 < 3.5 < fine


def test_ridge_is_the_one_of_its_formula(make_split: MakeSplit) -> None:
    """(X'X + alpha I) w = X'y on centred columns, alpha = 1 / (2 C)."""
    train = make_split(["up", "down", "up", "up"], [1.0, 0.0, 2.0, 3.0])
    recipe = BaselineRecipe(ngrams=1, min_rows=1, inverse_regularization=(0.25,))
    predicted, _ = baselines.ridge(train, train, recipe, SCORES).predict(train)
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])  # one word: unit length
    centred, labels = x - x.mean(axis=0), train.labels - train.labels.mean()
    weights = np.linalg.solve(centred.T @ centred + 2 * np.eye(2), centred.T @ labels)
    assert predicted == pytest.approx(train.labels.mean() + centred @ weights, abs=1e-4)


def test_ridge_sees_how_alike_two_texts_are(make_split: MakeSplit) -> None:
    """Also of words that train has not seen in a pair of equal texts."""
    words = [f"w{number}" for number in range(8)]
    first = [f"{words[n]} {words[n + 1]}" for n in range(7)] * 2
    second = first[:7] + [f"{words[(n + 4) % 8]} x" for n in range(7)]
    train = make_split(first, [5.0] * 7 + [0.0] * 7, second)
    recipe = BaselineRecipe(min_rows=1, inverse_regularization=(1.0,))
    fitted = baselines.ridge(train, train, recipe, SCORES)
    same, other = fitted.predict(make_split(["w0 w7", "w0 w7"], [0.0] * 2, ["w0 w7", "w2 w3"]))[0]
    assert same > 3 > 2 > other


@pytest.mark.parametrize("name", LEARN)
def test_a_train_without_words_is_refused(name: str, make_split: MakeSplit) -> None:
    train = make_split(["one", "two"], [0, 1])
    recipe = replace(LEARN[name], min_rows=2)
    with pytest.raises(UserError, match="no word stands in 2 rows of train"):
        baselines.FIT[name](train, train, recipe, films(2))
