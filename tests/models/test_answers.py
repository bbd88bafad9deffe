"""However a saved model is asked, the same text gets the same answer."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

from distillery import files
from distillery.compression import export
from distillery.distillation.classifier import TorchClassifier
from distillery.models import registry, tokenization
from distillery.runtime.classifier import OnnxClassifier
from distillery.runtime.facts import FACTS, ONNX

ROOM = 12  # word pieces of a text
LABELS = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
TEXTS = ["", "the film was great", "a good story, " * 9 + "a weak plot", "bad " * 10, "it " * 40]
PAIRS = [(one, two) for one in TEXTS[1:] for two in TEXTS[1:]]


def saved(folder: Path, tiny_folder: Path, kind: str, pairs: bool, head: float) -> Any:
    """Saves a student, or a teacher, as the stages do; gives the model."""
    torch.manual_seed(0)
    tokenizer = tokenization.load(tiny_folder)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, **LABELS}
    if kind == "teacher":
        layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        config = BertConfig(max_position_embeddings=64, **layers, **sizes)
        model: Any = BertForSequenceClassification(config)
    else:
        reading = {"max_length": ROOM, "head": head, "pairs": pairs}
        buckets = {"buckets": 97} if kind == "bag" else {"embedding_size": 8}
        model = registry.create(kind, **sizes, **reading, **buckets)
    for weight in model.parameters():  # so that answers differ
        weight.data.normal_(std=0.5)
    model.classifier.weight.data *= 0.2
    model.classifier.bias.data.zero_()
    if kind == "bag":
        model.encoder.table.weight.data[-1] = 0  # of padding
    model.eval().save_pretrained(folder)
    tokenization.save_for(model, tokenizer, folder, ROOM, head)
    reading = {"max_length": ROOM, "head": head, "precision": "fp32", "pairs": pairs}
    files.write_json(folder / FACTS, {"labels": ["bad", "good"], **reading})
    return model


def by_pipeline(folder: Path, texts: list[Any], **options: Any) -> np.ndarray:
    """(N, 2) probabilities."""
    ask = pipeline("text-classification", model=str(folder), device="cpu")
    inputs = [t if isinstance(t, str) else {"text": t[0], "text_pair": t[1]} for t in texts]
    answers = [ask(text, top_k=None, **options) for text in inputs]
    scores = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return np.array([[score["bad"], score["good"]] for score in scores])


def by_predict(classifier: Any, texts: list[Any]) -> np.ndarray:
    if isinstance(texts[0], str):
        return classifier.probabilities(texts)
    return classifier.probabilities(*(list(side) for side in zip(*texts, strict=True)))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("student", registry.CLASSES)
def test_a_student_gives_one_answer(
    student: str, pairs: bool, tmp_path: Path, tiny_folder: Path
) -> None:
    saved(tmp_path, tiny_folder, student, pairs, head=0.25)
    texts: list[Any] = PAIRS if pairs else TEXTS
    expected = by_predict(TorchClassifier(tmp_path), texts)
    assert np.ptp(expected[:, 0]) > 0.01
    np.testing.assert_allclose(by_pipeline(tmp_path, texts), expected, atol=1e-5)
    truncated = by_pipeline(tmp_path, texts, truncation=True)
    np.testing.assert_allclose(truncated, expected, atol=1e-5)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("head", [0.0, 1.0])
def test_a_teacher_gives_one_answer_where_texts_are_truncated(
    head: float, pairs: bool, tmp_path: Path, tiny_folder: Path
) -> None:
    saved(tmp_path, tiny_folder, "teacher", pairs, head)
    texts: list[Any] = PAIRS if pairs else TEXTS
    expected = by_predict(TorchClassifier(tmp_path), texts)
    assert np.ptp(expected[:, 0]) > 0.01
    truncated = by_pipeline(tmp_path, texts, truncation=True)
    np.testing.assert_allclose(truncated, expected, atol=1e-5)


def test_transformers_warns_of_a_text_that_is_not_truncated(
    tmp_path: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a teacher, where the plain `pipeline` reads more than `predict`."""
    saved(tmp_path, tiny_folder, "teacher", False, 1.0)
    logger = logging.getLogger("transformers")  # which passes nothing on to its parent
    logger.addHandler(caplog.handler)
    try:
        AutoTokenizer.from_pretrained(tmp_path)(TEXTS[-1])
    finally:
        logger.removeHandler(caplog.handler)
    assert f"longer than the specified maximum sequence length for this model (42 > {ROOM})" in (
        caplog.text
    )


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("kind", ["bilstm", "attention", "teacher"])
def test_an_exported_model_gives_the_same_answer(
    kind: str, pairs: bool, tmp_path: Path, tiny_folder: Path
) -> None:
    model = saved(tmp_path, tiny_folder, kind, pairs, head=1.0)
    texts: list[Any] = PAIRS if pairs else TEXTS
    classifier = TorchClassifier(tmp_path)
    expected = by_predict(classifier, texts)
    probes = classifier.reader.encode(TEXTS[1:], None)
    export.write(model, probes, ROOM, tmp_path / ONNX)
    np.testing.assert_allclose(by_predict(OnnxClassifier(tmp_path), texts), expected, atol=1e-5)
