"""Models without a neural network, for rows that keep a table honest (scikit-learn).

A text is a bag of word n-grams. A pair has the n-grams of its first text, of its second, and of
what stands in both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from distillery import progress
from distillery.data.store import Split
from distillery.errors import UserError
from distillery.evaluation import metrics
from distillery.recipes import BaselineRecipe, NbsvmRecipe, Recipe


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    predict: a split -> its label numbers (N,), and their probabilities (N, labels) where the model
    has such. facts: of the choice on dev.
    """

    predict: Callable[[Split], tuple[np.ndarray, np.ndarray | None]]
    parameters: int
    facts: dict[str, Any]


class Linear(Protocol):
    """A linear model of N rows of features."""

    @property
    def parameters(self) -> int: ...

    def predict(self, features: Any) -> np.ndarray:
        """Label numbers (N,)."""

    def probabilities(self, features: Any) -> np.ndarray | None:
        """(N, labels), None where the model has none."""


def majority(train: Split, dev: Split, recipe: Recipe, metric: str) -> Baseline:
    """Always the commonest label of train, the first of equals."""
    label = int(np.bincount(train.labels).argmax())
    return Baseline(lambda split: (np.full(len(split), label), None), 0, {})


def tfidf(train: Split, dev: Split, recipe: BaselineRecipe, metric: str) -> Baseline:
    """Sublinear TF-IDF of word n-grams and logistic regression; dev selects its C."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    ngrams = Ngrams(TfidfVectorizer(sublinear_tf=True, **_counting(recipe)), train, recipe)
    features = ngrams.of(train)

    def candidates() -> Iterator[tuple[str, Linear]]:
        for c in recipe.inverse_regularization:
            yield f"C {c:g}", LogisticRegression(features, train.labels, c)

    return _best(candidates(), len(recipe.inverse_regularization), ngrams, dev, metric)


def nbsvm(train: Split, dev: Split, recipe: NbsvmRecipe, metric: str) -> Baseline:
    """An SVM over naive Bayes log-count ratios; dev selects C and beta.

    Wang & Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification",
    section 2. More than two labels: one against the rest.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    ngrams = Ngrams(CountVectorizer(binary=True, **_counting(recipe)), train, recipe)
    features = ngrams.of(train).astype(np.float64)

    def candidates() -> Iterator[tuple[str, Linear]]:
        for c in recipe.inverse_regularization:
            fitted = Nbsvm.fit(features, train.labels, recipe.smoothing, c)
            for beta in recipe.interpolation:
                yield f"C {c:g}, beta {beta:g}", fitted.interpolated(beta)

    choices = len(recipe.inverse_regularization) * len(recipe.interpolation)
    return _best(candidates(), choices, ngrams, dev, metric)


FIT: dict[str, Callable[[Split, Split, Any, str], Baseline]] = {
    "majority": majority,
    "tfidf": tfidf,
    "nbsvm": nbsvm,
}


def _counting(recipe: BaselineRecipe) -> dict[str, Any]:
    """What both vectorizers count: words, and the marks that carry sentiment."""
    return {
        "ngram_range": (1, recipe.ngrams),
        "min_df": recipe.min_rows,
        "token_pattern": r"\w+|[!?]",
    }


class Ngrams:
    """The features of splits: a vectorizer of scikit-learn, fitted to train."""

    def __init__(self, vectorizer: Any, train: Split, recipe: BaselineRecipe) -> None:
        self.vectorizer = vectorizer
        try:
            vectorizer.fit([*self._texts(train, 0), *self._texts(train, 1)])
        except ValueError:
            raise UserError(f"no word stands in {recipe.min_rows} rows of train") from None

    @staticmethod
    def _texts(split: Split, column: int) -> list[str]:
        return [text for chunk in split.chunks(1024) for text in chunk[column] or ()]

    def of(self, split: Split) -> Any:
        """(N, features), sparse."""
        from scipy import sparse

        first = self.vectorizer.transform(self._texts(split, 0))
        if not split.paired:
            return first
        second = self.vectorizer.transform(self._texts(split, 1))
        return sparse.hstack([first, second, first.multiply(second)], format="csr")


def _best(
    candidates: Iterator[tuple[str, Linear]], count: int, ngrams: Ngrams, dev: Split, metric: str
) -> Baseline:
    """The first of the candidates (by name) that are best on dev."""
    features = ngrams.of(dev)
    tried: dict[str, float] = {}
    best: Any = None
    for name, model in progress.bar(candidates, total=count, desc="fitting", unit=" models"):
        score = metrics.score(metric, dev.labels, model.predict(features))
        if not tried or score > max(tried.values()):
            best = model
        tried[name] = score

    def predict(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
        found = ngrams.of(split)
        return best.predict(found), best.probabilities(found)

    return Baseline(predict, best.parameters, {"tried_on_dev": tried})


class LogisticRegression:
    """scikit-learn's, with probabilities of the labels that train has none of: 0."""

    def __init__(self, features: Any, labels: np.ndarray, c: float) -> None:
        from sklearn import linear_model

        self._model = linear_model.LogisticRegression(C=c, max_iter=1000).fit(features, labels)
        self.parameters = int(self._model.coef_.size + self._model.intercept_.size)

    def predict(self, features: Any) -> np.ndarray:
        found: np.ndarray = self._model.predict(features)
        return found

    def probabilities(self, features: Any) -> np.ndarray:
        found = np.zeros((features.shape[0], self._model.classes_.max() + 1))
        found[:, self._model.classes_] = self._model.predict_proba(features)
        return found


@dataclass(frozen=True)
class Nbsvm:
    """A separating plane per label against the rest, one alone where there are two labels.

    labels: (L,), those of train. ratios: (planes, features), the log-count ratios r. weights: of
    the features r * f. biases: (planes,).
    """

    labels: np.ndarray
    ratios: np.ndarray
    weights: np.ndarray
    biases: np.ndarray

    @classmethod
    def fit(cls, features: Any, labels: np.ndarray, smoothing: float, c: float) -> "Nbsvm":
        """The SVM (squared hinge loss, as in the paper) over features (N, V) of 0 and 1."""
        from sklearn.svm import LinearSVC

        known = np.unique(labels)
        ratios, weights, biases = [], [], []
        for label in known[1:] if len(known) == 2 else known:
            ratio = log_count_ratio(features, labels == label, smoothing)
            scaled = features.multiply(ratio).tocsr()
            svm = LinearSVC(C=c, random_state=0, max_iter=10_000).fit(scaled, labels == label)
            ratios.append(ratio)
            weights.append(svm.coef_[0])
            biases.append(svm.intercept_[0])
        return cls(known, np.stack(ratios), np.stack(weights), np.array(biases))

    def interpolated(self, beta: float) -> "Nbsvm":
        """w' = (1 - beta) mean|w| + beta w (section 2.3): between naive Bayes and the SVM."""
        mean = np.abs(self.weights).mean(axis=1, keepdims=True)
        weights = (1 - beta) * mean + beta * self.weights
        return Nbsvm(self.labels, self.ratios, weights, self.biases)

    @property
    def parameters(self) -> int:
        """r and w are one weight at the end."""
        return self.weights.size + self.biases.size

    def predict(self, features: Any) -> np.ndarray:
        scores = features @ (self.ratios * self.weights).T + self.biases  # (N, planes)
        planes = (scores[:, 0] > 0).astype(int) if len(self.labels) == 2 else scores.argmax(axis=1)
        found: np.ndarray = self.labels[planes]
        return found

    def probabilities(self, features: Any) -> None:
        """A hinge loss gives none."""


def log_count_ratio(features: Any, positive: np.ndarray, smoothing: float) -> np.ndarray:
    """r = log((p / |p|) / (q / |q|)), (V,), with p = smoothing + the counts of the rows that are
    positive (N,), and q of the others (section 2.1)."""
    p = smoothing + np.asarray(features[positive].sum(axis=0)).ravel()
    q = smoothing + np.asarray(features[~positive].sum(axis=0)).ravel()
    ratio: np.ndarray = np.log(p / p.sum()) - np.log(q / q.sum())
    return ratio
