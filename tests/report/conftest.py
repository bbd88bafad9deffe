"""Made-up results: no model runs and no file is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery import results as stored

Results = dict[str, dict[str, Any]]
Make = Callable[..., Results]


def _result(
    name: str, stage: str, accuracies: Sequence[float], *, task: str = "imdb", **fields: Any
) -> Results:
    """A result by its name; a run per accuracy, with seeds 1, 2, ..."""
    runs = [
        {"seed": seed, "metrics": {"accuracy": value}, "seconds": 60.0, "rows": 22500, "epochs": 5}
        for seed, value in enumerate(accuracies, start=1)
    ]
    result = {
        "name": name,
        "stage": stage,
        "task": task,
        "student": None,
        "layers": None,
        "teacher": None,
        "variant": None,
        "split": "test",
        "n": 25000,
        "metrics": {"accuracy": sum(accuracies) / len(accuracies), "f1": 0.5},
        "runs": runs,
        "recipe": {},
        "inputs": {f"{task}/test.parquet": "abc"},
        "parameters": None,
        "bytes": None,
        "environment": {
            "python": "3.11.9",
            "torch": "2.4.0",
            "transformers": "4.44.0",
            "device": "cpu",
            "cpu": "EPYC",
            "threads": 16,
            "precision": "fp32",
        },
        "command": None,
        "commit": {"head": "0123456789abcdef", "dirty": False},
    }
    return {name: {**result, **fields}}


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
            "distil_attention_minilm_imdb", "distillation", [0.908], teacher="minilm", **student
        ),
    }


TRUE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
Predict = Callable[..., Results]


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    """Makes a result of ten rows in `tmp_path`, and its predictions: `wrong` rows per run."""
    stored.write_labels(tmp_path, "films", stored.Labels(("bad", "good"), TRUE, "abc"))

    def make(name: str, stage: str, *wrong: Sequence[int], **fields: Any) -> Results:
        predictions = np.stack([TRUE] * len(wrong))
        for run, rows in enumerate(wrong):
            predictions[run, rows] = 1 - predictions[run, rows]
        path = stored.predictions_path(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(stored.pack(predictions, 2))
        accuracies = [1 - len(rows) / 10 for rows in wrong]
        return _result(name, stage, accuracies, **{"task": "films", "n": 10, **fields})

    return make
