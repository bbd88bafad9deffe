"""What is refused as a teacher, and how the refusal helps."""

import csv
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from distillery import files, paths
from distillery.data.task import Task
from distillery.distillation import teacher
from distillery.errors import UserError
from distillery.runtime.facts import FACTS

NAMES = ("negative", "neutral", "positive")
TASK_OF_3 = Task(name="films", labels=NAMES, local=True)
LABELS = np.array([0, 1, 2] * 20)


def config(*names: str) -> SimpleNamespace:
    return SimpleNamespace(id2label=dict(enumerate(names)))


def logits(predicted: np.ndarray, labels: int = 3) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[predicted]


def check(predicted: np.ndarray, floor: float) -> None:
    teacher.check_outputs("minilm", logits(predicted), LABELS, TASK_OF_3, floor)


def refusal(predicted: np.ndarray, floor: float) -> str:
    with pytest.raises(UserError) as caught:
        check(predicted, floor)
    return str(caught.value)


@pytest.mark.parametrize("names", [NAMES, ("NEGATIVE", "Neutral", "positive")])
def test_labels_in_order_are_let_through(names: tuple[str, ...]) -> None:
    teacher.check_labels(config(*names), TASK_OF_3, "it")


def test_labels_that_say_nothing_are_left_to_the_dev_rows() -> None:
    teacher.check_labels(config("LABEL_0", "LABEL_1", "LABEL_2"), TASK_OF_3, "it")


@pytest.mark.parametrize(
    "names",
    [
        ("positive", "neutral", "negative"),
        ("negative", "positive"),
        ("negative", "neutral", "positive", "mixed"),
        ("LABEL_0", "LABEL_2", "LABEL_1"),
    ],
)
def test_labels_of_another_order_or_number_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="it has the labels .* negative, neutral, positive"):
        teacher.check_labels(config(*names), TASK_OF_3, "it")


@pytest.mark.parametrize(
    ("task_labels", "names", "option"),
    [
        (("bad", "good"), ("good", "bad"), "--labels good,bad"),
        (("Bad", "good"), ("GOOD", "BAD"), "--labels good,Bad"),  # as the data spells them
        (("pos", "Pos"), ("Pos", "pos"), "--labels Pos,pos"),
        (("bad, or so", 'the "best"'), ('the "best"', "bad, or so"),
         """--labels '"the ""best""\","bad, or so"'"""),
        (("it's bad", "good"), ("good", "it's bad"), """--labels 'good,it'"'"'s bad'"""),
    ],
)  # fmt: skip
def test_labels_in_another_order_are_refused_with_the_option_that_fixes_it(
    task_labels: tuple[str, ...], names: tuple[str, ...], option: str
) -> None:
    task = Task(name="films", labels=task_labels, local=True)
    with pytest.raises(UserError) as caught:
        teacher.check_labels(config(*names), task, "it")
    assert str(caught.value).endswith(f"data --task films again with {option}")
    order = next(csv.reader([shlex.split(option)[1]]))
    teacher.check_labels(config(*names), replace(task, labels=tuple(order)), "it")


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (replace(TASK_OF_3, local=False), NAMES[::-1]),  # its order is fixed
        (TASK_OF_3, ("negative", "neutral", "mixed")),
    ],
)
def test_labels_that_no_order_fixes_are_refused_without_that_option(
    task: Task, names: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        teacher.check_labels(config(*names), task, "it")
    assert "--labels" not in str(caught.value)


def test_another_number_of_nameless_labels_is_refused() -> None:
    with pytest.raises(UserError, match="it has 2 labels where the task has 3"):
        teacher.check_labels(config("LABEL_0", "LABEL_1"), TASK_OF_3, "it")


def test_floor_itself_is_enough() -> None:
    predicted = LABELS.copy()
    predicted[:6] = (predicted[:6] + 1) % 3  # 54 of 60 are right
    check(predicted, 0.9)
    assert "accuracy of 0.9000" in refusal(predicted, 0.91)


def test_raw_encoder_is_refused_with_its_accuracy() -> None:
    said = refusal(np.random.default_rng(0).integers(0, 3, len(LABELS)), 0.9)
    assert "raw encoder" in said
    assert "trained too little" in said
    assert "teacher minilm has a dev accuracy of 0." in said


@pytest.mark.parametrize(
    ("order", "meant"),
    [
        ([2, 1, 0], "positive, neutral, negative"),
        ([1, 2, 0], "positive, negative, neutral"),  # label l comes out as order[l]
    ],
)
def test_swapped_labels_are_recognized(order: list[int], meant: str) -> None:
    said = refusal(np.array(order)[LABELS], 0.9)
    assert f"seem to be in the order {meant}: run scripts/distillery data --task films" in said
    assert f"--labels {meant.replace(', ', ',')})" in said
    assert "accuracy of 0." in said


def test_one_class_for_everything_is_refused_even_without_a_floor() -> None:
    predicted = np.zeros(len(LABELS), np.int64)
    with pytest.raises(UserError, match="dev accuracy of 0.3333"):
        check(predicted, 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_refused(value: float) -> None:
    found = logits(LABELS)
    found[17, 1] = value
    with pytest.raises(UserError, match="not finite"):
        teacher.check_outputs("minilm", found, LABELS, TASK_OF_3, 0.0)


def test_another_number_of_outputs_is_refused() -> None:
    with pytest.raises(UserError, match="gives 4 outputs for 3 labels"):
        teacher.check_outputs("minilm", logits(LABELS, 4), LABELS, TASK_OF_3, 0.5)


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
    found = teacher.find(TASK, "tiny")
    assert found.weights_sha256 == files.sha256(folder / "model.safetensors")
    assert found.reader().max_length == 16
    prints = {found.fingerprint}
    facts = files.read_json(folder / FACTS)
    for change in ({"max_length": 17}, {"head": 0.5}, {"precision": "bf16"}):
        files.write_json(folder / FACTS, facts | change)
        prints.add(teacher.find(TASK, "tiny").fingerprint)
    files.write_json(folder / FACTS, facts)
    assert teacher.find(TASK, "tiny").fingerprint == found.fingerprint
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    prints.add(teacher.find(TASK, "tiny").fingerprint)
    assert len(prints) == 5


def test_missing_teacher_says_what_to_run(home: Path) -> None:
    with pytest.raises(UserError, match="scripts/distillery teacher --task films --teacher tiny"):
        teacher.find(TASK, "tiny")


def test_teacher_of_other_labels_or_without_weights_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"has the labels \['bad', 'good'\]"):
        teacher.find(Task(name="films", labels=("good", "bad")), "tiny")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        teacher.find(TASK, "tiny")
