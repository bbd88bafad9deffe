"""A prediction is one line, whatever its text and label hold."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery import kinds
from distillery.kinds.classification import Probabilities
from distillery.stages import predict

LABELS = ["bad", "good", "so-so"]
ANSWER = Probabilities(np.array([0.125, 0.75, 0.125]), LABELS)


def test_text_has_the_best_label_its_probability_and_the_text() -> None:
    assert predict.answer_line(("fine",), ANSWER, "text") == "good\t0.7500\tfine"
    both = predict.answer_line(("a", "b"), ANSWER, "text", 2)
    assert both == "good\t0.7500\tbad\t0.1250\ta\tb"


def test_jsonl_has_all_labels_unless_fewer_are_asked_for() -> None:
    found = json.loads(predict.answer_line(("a", "b"), ANSWER, "jsonl"))
    scores = {"good": 0.75, "bad": 0.125, "so-so": 0.125}
    assert found == {
        "label": "good",
        "score": 0.75,
        "scores": scores,
        "text": "a",
        "text_pair": "b",
    }
    assert list(found["scores"]) == ["good", "bad", "so-so"]
    fewer = json.loads(predict.answer_line(("a",), ANSWER, "jsonl", 1))
    assert fewer == {"label": "good", "score": 0.75, "scores": {"good": 0.75}, "text": "a"}
    assert len(json.loads(predict.answer_line(("a",), ANSWER, "jsonl", 9))["scores"]) == 3


def test_outputs_become_probabilities_of_a_classifier_and_the_number_of_a_regression() -> None:
    answer = kinds.CLASSIFICATION.answer(np.log(np.array([1, 6, 1], np.float32)), LABELS)
    assert predict.answer_line(("a",), answer, "text") == "good\t0.7500\ta"
    number = kinds.REGRESSION.answer(np.array([3.81234567], np.float32), ["score"])
    assert predict.answer_line(("a", "b"), number, "text") == "3.8123\ta\tb"
    found = json.loads(predict.answer_line(("a", "b"), number, "jsonl"))
    assert found == {"score": 3.812346, "text": "a", "text_pair": "b"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\r\x0b", r"a\tb\nc\r\x0b"),
        ("a\u2028b\x85", r"a\u2028b\x85"),
        ("Tr\u00e8s bon\u00a0! \u200d \u3000", "Tr\u00e8s bon\u00a0! \u200d \u3000"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_would_break_a_line_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert predict.escaped(text) == shown


@given(st.text(), st.text(), st.sampled_from(predict.FORMATS))
def test_an_answer_is_one_line_of_as_many_columns(label: str, text: str, layout: str) -> None:
    line = predict.answer_line((text,), Probabilities(np.array([1.0]), [label]), layout)
    assert len(line.splitlines()) <= 1 or layout == "jsonl"
    assert "\n" not in line and "\r" not in line
    if layout == "text":
        assert len(line.split("\t")) == 3
    else:
        assert json.loads(line)["text"] == text
        assert json.loads(line)["label"] == label
