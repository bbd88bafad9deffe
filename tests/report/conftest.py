"""Made-up results: no model runs and no file is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

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
        **_result("minilm_imdb", "teacher", [0.929], teacher="minilm", bytes=90900000),
        **_result("majority_imdb", "baseline", [0.5], baseline="majority"),
        **_result("tfidf_imdb", "baseline", [0.897], baseline="tfidf", runs=[tfidf_run]),
        **_result("attention_imdb", "student", [0.895], command="make attention", **student),
        **_result(
            "distil_attention_minilm_imdb", "distillation", [0.908], teacher="minilm", **student
        ),
    }
