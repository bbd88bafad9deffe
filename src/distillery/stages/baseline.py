"""Stage 3: rows that keep a table honest: the majority class, and TF-IDF with logistic regression
(scikit-learn)."""

import logging
import time
from typing import Any

import numpy as np
from tqdm import tqdm

from distillery import files, paths, results
from distillery.errors import UserError
from distillery.evaluation import calibration, metrics
from distillery.preprocessing import store
from distillery.preprocessing.task import Task
from distillery.recipes import BaselineRecipe
from distillery.stages.experiment import split_inputs, write_labels
from distillery.training import machine

VERSION = 2


def run(task: Task, name: str, recipe: BaselineRecipe, *, command: str, force: bool) -> None:
    """Writes the result of one baseline on test."""
    folder = paths.results(task.local)
    result_name = paths.student_result(task.name, name)
    wanted = {
        "recipe": {**recipe.as_dict(), "inverse_regularization": [*recipe.inverse_regularization]}
        if name == "tfidf"
        else {},
        "stage_version": VERSION,
        "inputs": split_inputs(task),
    }
    if not force and results.is_current(folder, result_name, wanted, [0]):
        logging.info("%s is up to date (--force runs it anyway)", result_name)
        write_labels(task)
        return
    with files.locked(paths.lock(result_name), f"experiment {result_name}"):
        started = time.monotonic()
        train, dev = (store.read_split(task.name, split) for split in ("train", "dev"))
        if name == "majority":
            predict, parameters, facts = _majority(train)
        else:
            predict, parameters, facts = _tfidf(train, dev, recipe, task.metric)
        seconds = round(time.monotonic() - started, 2)
        test = store.read_split(task.name, "test")
        predicted, probabilities = predict(test)
        scores = metrics.scores(task.metric, test.labels, predicted)
        if probabilities is not None:
            facts["ece"] = calibration.expected_calibration_error(test.labels, probabilities)
        run_facts = {"seed": 0, "metrics": scores, "seconds": seconds, "rows": len(train), **facts}
        result = {
            **dict.fromkeys(results.FIELDS),
            "name": result_name,
            "stage": "baseline",
            "task": task.name,
            "baseline": name,
            "split": "test",
            "n": len(test),
            "metrics": scores,
            "runs": [run_facts],
            **wanted,
            "outputs": {},
            "commit": results.commit(),
            "environment": machine.environment("fp64"),
            "parameters": parameters,
            "command": command,
            "subset": store.subset(task.name),
        }
        write_labels(task)
        results.write(folder, result, predicted[None, :], len(task.labels))
        logging.info("%s: %s %.4f on test", result_name, *next(iter(scores.items())))


def _majority(train: store.Split) -> tuple[Any, int, dict[str, Any]]:
    """Always the commonest label of train, the first of equals."""
    label = int(np.bincount(train.labels).argmax())
    return lambda split: (np.full(len(split), label), None), 0, {}


def _tfidf(
    train: store.Split, dev: store.Split, recipe: BaselineRecipe, metric: str
) -> tuple[Any, int, dict[str, Any]]:
    """Sublinear TF-IDF of word n-grams and logistic regression; dev selects its C.

    A pair has the features of its first text, of its second, and of what stands in both.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    def texts(split: store.Split, column: int) -> list[str]:
        return [text for chunk in split.chunks(1024) for text in chunk[column] or ()]

    def features_of(split: store.Split) -> Any:
        first = vectorizer.transform(texts(split, 0))
        if not split.paired:
            return first
        second = vectorizer.transform(texts(split, 1))
        return sparse.hstack([first, second, first.multiply(second)], format="csr")

    vectorizer = TfidfVectorizer(
        ngram_range=(1, recipe.ngrams),
        min_df=recipe.min_rows,
        sublinear_tf=True,
        token_pattern=r"\w+|[!?]",  # noqa: S106
    )
    bar = tqdm(total=1 + len(recipe.inverse_regularization), desc="TF-IDF", unit=" fits")
    try:
        vectorizer.fit([*texts(train, 0), *texts(train, 1)])
    except ValueError:
        raise UserError(
            f"TF-IDF finds no word that stands in {recipe.min_rows} rows of train"
        ) from None
    features, dev_features = features_of(train), features_of(dev)
    bar.update()
    tried: dict[str, float] = {}
    best: Any = None
    for c in recipe.inverse_regularization:
        model = LogisticRegression(C=c, max_iter=1000).fit(features, train.labels)
        score = metrics.METRICS[metric](dev.labels, model.predict(dev_features))
        if not tried or score > max(tried.values()):
            best = model
        tried[f"{c:g}"] = score
        bar.update()
    bar.close()
    parameters = int(best.coef_.size + best.intercept_.size)

    def predict(split: store.Split) -> tuple[np.ndarray, np.ndarray]:
        found = features_of(split)
        known = best.predict_proba(found)  # of the labels that occur in train
        probabilities = np.zeros((len(split), best.classes_.max() + 1))
        probabilities[:, best.classes_] = known
        return best.predict(found), probabilities

    return predict, parameters, {"dev_by_C": tried}
