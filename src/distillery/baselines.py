"""Models without a neural network, the simple rows that a table needs (scikit-learn).

A text is a bag of word n-grams. A pair has the n-grams of its first text, of its second, and of
what stands in both. `students.BASELINES` says which kinds of tasks a baseline fits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from distillery import evaluation, progress
from distillery.data.store import Split
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.recipes import BaselineRecipe, NbsvmRecipe, Recipe

WORD = r"\w+|[!?]"  # a word, or punctuation that carries sentiment


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline.

    predict: a split -> predictions (N,) and, if the model has them, logits (N, C) as a network's.
    facts: of the choice on dev.
    """

    predict: Callable[[Split], tuple[np.ndarray, np.ndarray | None]]
    parameters: int
    facts: dict[str, Any]


class Linear(NamedTuple):
    """A fitted linear model, one of several that dev chooses from.

    predict: features (N, V) -> predictions (N,). logits: features -> (N, C), None without them.
    """

    name: str
    parameters: int
    predict: Callable[[Any], np.ndarray]
    logits: Callable[[Any], np.ndarray] | None = None


def check(name: str, task: Task) -> None:
    """UserError if a baseline doesn't fit the task's kind."""
    if name not in task.kind.baselines:
        raise UserError(
            f"baseline '{name}' is not for {task.kind.name}, as {task.name} is: choose from"
            f" {', '.join(task.kind.baselines)}"
        )


def majority(train: Split, dev: Split, recipe: Recipe, task: Task) -> Baseline:
    """Always the commonest label of train, the first of equals."""
    label = int(np.bincount(train.labels).argmax())
    return Baseline(lambda split: (np.full(len(split), label), None), 0, {})


def mean(train: Split, dev: Split, recipe: Recipe, task: Task) -> Baseline:
    """Always the mean of train's labels."""
    value = float(train.labels.mean())
    return Baseline(lambda split: (np.full(len(split), value), None), 0, {})


def tfidf(train: Split, dev: Split, recipe: BaselineRecipe, task: Task) -> Baseline:
    """Sublinear TF-IDF of word n-grams and logistic regression; dev selects its C."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    ngrams = Ngrams(TfidfVectorizer, train, recipe, sublinear_tf=True)
    features = ngrams.of(train)

    def fit(c: float) -> Linear:
        model = LogisticRegression(C=c, max_iter=1000).fit(features, train.labels)

        def logits(features: Any) -> np.ndarray:
            every = np.full((features.shape[0], len(task.labels)), -np.inf)  # labels not in train
            with np.errstate(divide="ignore"):
                every[:, model.classes_] = model.predict_log_proba(features)
            return every

        parameters = model.coef_.size + model.intercept_.size
        return Linear(f"C {c:g}", parameters, model.predict, logits)

    choices = recipe.inverse_regularization
    return _best(map(fit, choices), len(choices), ngrams, dev, task)


def ridge(train: Split, dev: Split, recipe: BaselineRecipe, task: Task) -> Baseline:
    """Ridge regression on the features of `tfidf` and, for pairs, the cosine of their TF-IDF; dev
    selects C = 1 / (2 alpha)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    ngrams = Ngrams(TfidfVectorizer, train, recipe, cosine=True, sublinear_tf=True)
    features = ngrams.of(train)

    def fit(c: float) -> Linear:
        model = Ridge(alpha=1 / (2 * c)).fit(features, train.labels)
        return Linear(f"C {c:g}", model.coef_.size + 1, model.predict)

    choices = recipe.inverse_regularization
    return _best(map(fit, choices), len(choices), ngrams, dev, task)


def nbsvm(train: Split, dev: Split, recipe: NbsvmRecipe, task: Task) -> Baseline:
    """An SVM over naive Bayes log-count ratios; dev selects C and beta.

    Wang & Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification",
    section 2. More than two labels: one against the rest.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    ngrams = Ngrams(CountVectorizer, train, recipe, binary=True)
    features = ngrams.of(train).astype(np.float64)

    def candidates() -> Iterator[Linear]:
        for c in recipe.inverse_regularization:
            fitted = Nbsvm.fit(features, train.labels, recipe.smoothing, c)
            for beta in recipe.interpolation:
                model = fitted.interpolated(beta)
                yield Linear(f"C {c:g}, beta {beta:g}", model.parameters, model.predict)

    choices = len(recipe.inverse_regularization) * len(recipe.interpolation)
    return _best(candidates(), choices, ngrams, dev, task)


FIT: dict[str, Callable[[Split, Split, Any, Task], Baseline]] = {
    "majority": majority,
    "tfidf": tfidf,
    "nbsvm": nbsvm,
    "mean": mean,
    "ridge": ridge,
}


class Ngrams:
    """The features of splits: the word n-grams that a vectorizer of scikit-learn finds in train.

    options: of the vectorizer. cosine: whether a pair has the product of its rows, which is their
    cosine if they are of unit length, as a feature.
    """

    def __init__(
        self,
        vectorizer: Any,
        train: Split,
        recipe: BaselineRecipe,
        cosine: bool = False,
        **options: Any,
    ) -> None:
        self.cosine = cosine
        self.vectorizer = vectorizer(
            ngram_range=(1, recipe.ngrams), min_df=recipe.min_rows, token_pattern=WORD, **options
        )
        try:
            self.vectorizer.fit([*self._texts(train, 0), *self._texts(train, 1)])
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
        both = first.multiply(second)
        cosine = [sparse.csr_matrix(both.sum(axis=1))] if self.cosine else []
        return sparse.hstack([first, second, both, *cosine], format="csr")


def _best(
    candidates: Iterator[Linear], count: int, ngrams: Ngrams, dev: Split, task: Task
) -> Baseline:
    """The first of the candidates that are best on dev by the task's metric."""
    features = ngrams.of(dev)
    tried: dict[str, float] = {}
    best: Any = None
    for candidate in progress.bar(candidates, total=count, desc="fitting", unit=" models"):
        scores = task.kind.scores(task.metric, dev.labels, candidate.predict(features))
        tried[candidate.name] = scores[task.metric]
        if evaluation.best(task.metric, [*tried.values()]) == len(tried) - 1:
            best = candidate

    def predict(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
        features = ngrams.of(split)
        return best.predict(features), best.logits(features) if best.logits else None

    return Baseline(predict, best.parameters, {"tried_on_dev": tried})


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
        result: np.ndarray = self.labels[planes]
        return result


def log_count_ratio(features: Any, positive: np.ndarray, smoothing: float) -> np.ndarray:
    """r = log((p / |p|) / (q / |q|)), (V,), with p = smoothing + the counts of the rows that are
    positive (N,), and q of the others (section 2.1)."""
    p = smoothing + np.asarray(features[positive].sum(axis=0)).ravel()
    q = smoothing + np.asarray(features[~positive].sum(axis=0)).ravel()
    result: np.ndarray = np.log(p / p.sum()) - np.log(q / q.sum())
    return result
