"""Made-up results: no model runs and no file is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery import results as stored
from distillery.kinds import CLASSIFICATION
from distillery.results import Result

Results = dict[str, Result]
Make = Callable[..., Results]


def _result(
    name: str,
    stage: str,
    scores: Sequence[float],
    *,
    task: str = "imdb",
    metric: str = "accuracy",
    **fields: Any,
) -> Results:
    """A result by its name; a run per score, with seeds 1, 2, ..."""
    runs: list[Any] = [
        {"seed": seed, "metrics": {metric: value, "f1": 0.5}, "seconds": 60.0, "rows": 22500}
        for seed, value in enumerate(scores, start=1)
    ]
    facts: dict[str, Any] = {
        "n": 25000,
        "metrics": {metric: sum(scores) / len(scores), "f1": 0.5},
        "runs": runs,
        "recipe": {},
        "stage_version": 1,
        "inputs": {f"{task}/test.parquet": "abc"},
        "outputs": {},
        "environment": {
            "python": "3.11.9",
            "torch": "2.4.0",
            "transformers": "4.44.0",
            "device": "cpu",
            "cpu": "EPYC",
            "threads": 16,
            "precision": "fp32",
        },
        "commit": {"head": "0123456789abcdef", "dirty": False},
    }
    return {name: Result(name=name, stage=stage, task=task, **{**facts, **fields})}


@pytest.fixture
def make() -> Make:
    """Makes one result: `make(name, stage, accuracies, **fields)`."""
    return _result


@pytest.fixture
def results() -> Results:
    """A teacher, both baselines and an attention student, single and distilled, on imdb."""
    student: dict[str, Any] = {"student": "attention", "parameters": 4000100, "bytes": 16000400}
    tfidf_run = {"seed": 1, "metrics": {"accuracy": 0.897}, "seconds": 9.0, "rows": 22500}
    return {
        **_result(
            *("minilm_imdb", "teacher", [0.929]),
            **{"teacher": "minilm", "parameters": 22700000, "bytes": 90900000},
        ),
        **_result("majority_imdb", "baseline", [0.5], baseline="majority"),
        **_result(
            *("tfidf_imdb", "baseline", [0.897]),
            **{"baseline": "tfidf", "runs": [tfidf_run], "parameters": 397244},
        ),
        **_result("attention_imdb", "student", [0.895], command="make attention", **student),
        **_result(
            "distil_attention_minilm_imdb",
            "distillation",
            [0.908],
            teacher="minilm",
            command="make distilled",
            **student,
        ),
    }


TRUE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
NAMES = ("bad", "good")
Predict = Callable[..., Results]


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    """Makes a result of ten rows in `tmp_path`, and its predictions: `wrong` rows per run."""
    packed = CLASSIFICATION.pack(TRUE[None, :], NAMES)
    stored.write_labels(
        tmp_path, "films", stored.Labels("classification", NAMES, 10, packed, "abc")
    )

    def make(name: str, stage: str, *wrong: Sequence[int], **fields: Any) -> Results:
        predictions = np.stack([TRUE] * len(wrong))
        for run, rows in enumerate(wrong):
            predictions[run, rows] = 1 - predictions[run, rows]
        path = stored.predictions_path(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CLASSIFICATION.pack(predictions, NAMES))
        accuracies = [1 - len(rows) / 10 for rows in wrong]
        return _result(name, stage, accuracies, **{"task": "films", "n": 10, **fields})

    return make
