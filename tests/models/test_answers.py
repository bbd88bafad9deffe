"""However a saved model is asked, the same text gets the same answer."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, pipeline

from distillery.compression import export
from distillery.models import registry
from distillery.models.saved import TorchPredictor
from distillery.runtime.facts import ONNX
from distillery.runtime.predictor import OnnxPredictor
from tests.models import saving
from tests.saved import probabilities

TEXTS = ["", "the film was great", "a good story, " * 9 + "a weak plot", "bad " * 10, "it " * 40]
PAIRS = [(one, two) for one in TEXTS[1:] for two in TEXTS[1:]]


def by_pipeline(folder: Path, texts: list[Any], **options: Any) -> np.ndarray:
    """(N, 2) probabilities."""
    ask = pipeline("text-classification", model=str(folder), device="cpu")
    inputs = [t if isinstance(t, str) else {"text": t[0], "text_pair": t[1]} for t in texts]
    answers = [ask(text, top_k=None, **options) for text in inputs]
    scores = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return np.array([[score["bad"], score["good"]] for score in scores])


def by_predict(model: Any, texts: list[Any]) -> np.ndarray:
    if isinstance(texts[0], str):
        return probabilities(model, texts)
    return probabilities(model, *(list(side) for side in zip(*texts, strict=True)))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("student", registry.CLASSES)
def test_a_student_gives_one_answer(
    student: str, pairs: bool, tmp_path: Path, tiny_folder: Path
) -> None:
    saving.save(tmp_path, tiny_folder, student, pairs, head=0.25)
    texts: list[Any] = PAIRS if pairs else TEXTS
    expected = by_predict(TorchPredictor(tmp_path), texts)
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(by_pipeline(tmp_path, texts), expected, atol=1e-5)
    truncated = by_pipeline(tmp_path, texts, truncation=True)
    np.testing.assert_allclose(truncated, expected, atol=1e-5)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("head", [0.0, 1.0])
def test_a_teacher_gives_one_answer_where_texts_are_truncated(
    head: float, pairs: bool, tmp_path: Path, tiny_folder: Path
) -> None:
    saving.save(tmp_path, tiny_folder, "teacher", pairs, head)
    texts: list[Any] = PAIRS if pairs else TEXTS
    expected = by_predict(TorchPredictor(tmp_path), texts)
    assert np.ptp(expected[:, 0]) > 0.01
    truncated = by_pipeline(tmp_path, texts, truncation=True)
    np.testing.assert_allclose(truncated, expected, atol=1e-5)


def test_transformers_warns_of_a_text_that_is_not_truncated(
    tmp_path: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a teacher, where the plain `pipeline` reads more than `predict`."""
    saving.save(tmp_path, tiny_folder, "teacher", False, 1.0)
    caplog.set_level(logging.WARNING, logger="transformers")  # the command line lowers it
    logger = logging.getLogger("transformers")  # which passes nothing on to its parent
    logger.addHandler(caplog.handler)
    try:
        AutoTokenizer.from_pretrained(tmp_path)(TEXTS[-1])
    finally:
        logger.removeHandler(caplog.handler)
    assert (
        f"longer than the specified maximum sequence length for this model (42 > {saving.ROOM})"
        in (caplog.text)
    )


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("kind", ["bilstm", "attention", "teacher"])
def test_an_exported_model_gives_the_same_answer(
    kind: str, pairs: bool, tmp_path: Path, tiny_folder: Path
) -> None:
    model = saving.save(tmp_path, tiny_folder, kind, pairs, head=1.0)
    texts: list[Any] = PAIRS if pairs else TEXTS
    classifier = TorchPredictor(tmp_path)
    expected = by_predict(classifier, texts)
    probes = classifier.reader.encode(TEXTS[1:], None)
    export.write(model, probes, saving.ROOM, tmp_path / ONNX)
    np.testing.assert_allclose(by_predict(OnnxPredictor(tmp_path), texts), expected, atol=1e-5)
