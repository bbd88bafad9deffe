"""What classification refuses as a teacher, and how the refusal helps; packing of labels."""

import csv
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from distillery.errors import UserError
from distillery.kinds import CLASSIFICATION

NAMES = ("negative", "neutral", "positive")
LABELS = np.array([0, 1, 2] * 20)


def config(*names: str) -> SimpleNamespace:
    return SimpleNamespace(id2label=dict(enumerate(names)))


def logits(predicted: np.ndarray, labels: int = 3) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[predicted]


def check(predicted: np.ndarray, lowest: float) -> None:
    CLASSIFICATION.check_teacher("minilm", logits(predicted), LABELS, NAMES, "accuracy", lowest)


def refusal(predicted: np.ndarray, lowest: float) -> str:
    with pytest.raises(UserError) as caught:
        check(predicted, lowest)
    return str(caught.value)


@pytest.mark.parametrize("names", [NAMES, ("NEGATIVE", "Neutral", "positive")])
def test_labels_in_order_are_let_through(names: tuple[str, ...]) -> None:
    CLASSIFICATION.check_config(config(*names), NAMES, "it")


def test_labels_that_say_nothing_are_left_to_the_dev_rows() -> None:
    CLASSIFICATION.check_config(config("LABEL_0", "LABEL_1", "LABEL_2"), NAMES, "it")


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
        CLASSIFICATION.check_config(config(*names), NAMES, "it")


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
    with pytest.raises(UserError) as caught:
        CLASSIFICATION.check_config(config(*names), task_labels, "it")
    assert str(caught.value).endswith(f"run stage 1 again with {option}")
    order = next(csv.reader([shlex.split(option)[1]]))
    CLASSIFICATION.check_config(config(*names), tuple(order), "it")


def test_labels_that_no_order_fixes_are_refused_without_that_option() -> None:
    with pytest.raises(UserError) as caught:
        CLASSIFICATION.check_config(config("negative", "neutral", "mixed"), NAMES, "it")
    assert "--labels" not in str(caught.value)


def test_another_number_of_nameless_labels_is_refused() -> None:
    with pytest.raises(UserError, match="it has 2 labels where the task has 3"):
        CLASSIFICATION.check_config(config("LABEL_0", "LABEL_1"), NAMES, "it")


def test_the_lowest_score_itself_is_enough() -> None:
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
    assert f"seem to be in the order {meant}: for data of your own, run stage 1 again" in said
    assert f"--labels {meant.replace(', ', ',')})" in said
    assert "accuracy of 0." in said


def test_one_class_for_everything_is_refused_even_without_a_lowest_score() -> None:
    predicted = np.zeros(len(LABELS), np.int64)
    with pytest.raises(UserError, match="dev accuracy of 0.3333"):
        check(predicted, 0.0)
