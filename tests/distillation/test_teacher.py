"""What is refused as a teacher, and how the refusal helps."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from distillery import files, paths
from distillery.data.task import Task
from distillery.distillation import signals
from distillery.errors import UserError
from distillery.runtime.facts import FACTS

LABELS = np.array([0, 1] * 16)


def logits(outputs: int = 2) -> np.ndarray:
    return np.eye(outputs, dtype=np.float32)[LABELS]


@pytest.fixture
def checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], None]:
    """Checks recorded outputs on dev."""
    dev = SimpleNamespace(ids=np.arange(len(LABELS)), labels=LABELS)
    monkeypatch.setattr(signals.store, "read_split", lambda task, name: dev)
    found = signals.find(TASK, "tiny")

    def check(outputs: np.ndarray) -> None:
        signals.check_on_dev(TASK, found, SimpleNamespace(logits=lambda ids: outputs))

    return check


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_refused(
    checked: Callable[..., None], value: float
) -> None:
    found = logits()
    found[17, 1] = value
    with pytest.raises(UserError, match="teacher tiny gives outputs on dev that are not finite"):
        checked(found)


def test_another_number_of_outputs_is_refused(checked: Callable[..., None]) -> None:
    with pytest.raises(UserError, match="gives 4 outputs for 2 labels"):
        checked(logits(4))
    checked(logits())


TASK = Task(name="films", labels=("bad", "good"))


@pytest.fixture
def folder(home: Path, tiny_folder: Path) -> Path:
    """A folder as stage 2 leaves it."""
    found = paths.model("films", paths.teacher_result("films", "tiny"))
    shutil.copytree(tiny_folder, found)
    facts = {
        "labels": ["bad", "good"],
        "max_length": 16,
        "head": 0.25,
        "precision": "fp32",
        "pairs": False,
        "floor": 0.0,
    }
    files.write_json(found / FACTS, facts)
    return found


def test_teacher_is_found_with_the_fingerprint_of_all_it_depends_on(folder: Path) -> None:
    found = signals.find(TASK, "tiny")
    assert found.weights_sha256 == files.sha256(folder / "model.safetensors")
    assert found.reader().max_length == 16
    prints = {found.fingerprint}
    facts = files.read_json(folder / FACTS)
    for change in ({"max_length": 17}, {"head": 0.5}, {"precision": "bf16"}):
        files.write_json(folder / FACTS, facts | change)
        prints.add(signals.find(TASK, "tiny").fingerprint)
    files.write_json(folder / FACTS, facts)
    assert signals.find(TASK, "tiny").fingerprint == found.fingerprint
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    prints.add(signals.find(TASK, "tiny").fingerprint)
    assert len(prints) == 5


def test_missing_teacher_says_what_to_run(home: Path) -> None:
    with pytest.raises(UserError, match="scripts/distillery teacher --task films --teacher tiny"):
        signals.find(TASK, "tiny")


def test_teacher_of_other_labels_or_without_weights_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"has the labels \['bad', 'good'\]"):
        signals.find(Task(name="films", labels=("good", "bad")), "tiny")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        signals.find(TASK, "tiny")
