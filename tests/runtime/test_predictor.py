"""Saved students answer alike, however they are asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, pipeline

import distillery.models.registry  # noqa: F401  registers the students
from distillery import files
from distillery.errors import UserError
from distillery.models import networks, tokenization
from distillery.models.saved import TorchPredictor, load_network
from distillery.runtime.facts import FACTS, read_facts
from distillery.runtime.predictor import OnnxPredictor
from distillery.students import OWN
from distillery.training import inference
from tests.saved import LABELS, MAX_LENGTH, TEXTS, probabilities, save

MARKUP = ["A gem<br /><br />from start<br />to end.", "if a <b and c> d then stop", "Map<A>"]
SPACES = ["Tr\u00e8s bon\u00a0!", "a\tb\nc", "x\u200d\u3000y", "[SEP] [MASK]"]


@pytest.fixture(scope="module")
def expected(students: dict[str, Path]) -> np.ndarray:
    """The probabilities of `pipeline`."""
    classify = pipeline("text-classification", model=str(students["pytorch"]), device="cpu")
    answers = classify(TEXTS + MARKUP + SPACES, top_k=None)
    return np.array([[{a["label"]: a["score"] for a in row}[n] for n in LABELS] for row in answers])


@pytest.mark.parametrize(("form", "kind"), [("pytorch", TorchPredictor), ("onnx", OnnxPredictor)])
def test_probabilities_are_those_of_pipeline(
    students: dict[str, Path], expected: np.ndarray, form: str, kind: type
) -> None:
    model = kind(students[form])
    assert model.names == list(LABELS)
    found = probabilities(model, TEXTS + MARKUP + SPACES)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("pairs", [False, True])
def test_a_student_answers_alike_with_and_without_transformers(
    tiny_folder: Path, tmp_path: Path, kind: str, pairs: bool
) -> None:
    """Long texts are cut alike, and the second text of a pair is marked."""
    folder = save(tmp_path / "student", tiny_folder, "pytorch", kind, pairs=pairs)
    second = TEXTS[::-1] if pairs else None
    found = TorchPredictor(folder)
    batch = inference.tensors(found.reader.encode(TEXTS, second), np.arange(len(TEXTS)))
    with torch.no_grad():
        expected = load_network(folder).eval()(**batch).logits.softmax(dim=1)
    assert isinstance(found.model, networks.Classifier)
    assert not isinstance(found.model, PreTrainedModel)
    np.testing.assert_allclose(probabilities(found, TEXTS, second), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights, config: weights.pop("classifier.weight"), "no weights for classifier.w"),
        (lambda weights, config: config.pop("hidden_size"), "no attribute 'hidden_size'"),
        (lambda weights, config: config.update(hidden_size=32), "has the shape"),
        (lambda weights, config: config.update(hidden_size="a"), "holds no whole model"),
    ],
)
def test_a_student_that_is_not_whole_is_one_line(
    students: dict[str, Path], tmp_path: Path, change: Any, said: str
) -> None:
    folder = shutil.copytree(students["pytorch"], tmp_path / "copy")
    (folder / files.SUMS).unlink()
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    change(weights, config)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=said):
        TorchPredictor(folder)


def test_an_int8_model_answers_a_text_alike_whatever_stands_beside_it(
    students: dict[str, Path], expected: np.ndarray
) -> None:
    model = OnnxPredictor(students["int8"])
    together = probabilities(model, TEXTS + MARKUP)
    alone = np.concatenate([probabilities(model, [text]) for text in TEXTS + MARKUP])
    assert np.array_equal(together, alone)
    np.testing.assert_allclose(together, expected[: len(together)], atol=0.05)


@pytest.mark.parametrize("form", ["onnx", "int8", "pytorch"])
def test_no_texts_give_no_answers(students: dict[str, Path], form: str) -> None:
    kind = TorchPredictor if form == "pytorch" else OnnxPredictor
    model = kind(students[form])
    assert model.answers([]) == []
    assert model.outputs(model.reader.encode([], None)).shape == (0, len(LABELS))


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=4), st.sampled_from([None, "the plot"]))
def test_texts_are_read_as_in_training(
    students: dict[str, Path], texts: list[str], pair: str | None
) -> None:
    """By tokenizer.json alone as by transformers and the word table of training."""
    tokenizer = tokenization.load(students["onnx"])
    pairs = None if pair is None else [pair] * len(texts)
    trained = tokenization.reader(tokenizer, MAX_LENGTH, 0.25).encode(texts, pairs)
    asked = OnnxPredictor(students["onnx"]).reader.encode(texts, pairs)
    for name in ("pieces", "offsets", "second"):
        assert np.array_equal(getattr(trained, name), getattr(asked, name)), name
    assert trained.pad == asked.pad


def test_a_tokenizer_that_truncates_and_pads_is_read_whole(
    students: dict[str, Path], tmp_path: Path
) -> None:
    """The model cuts to head and tail itself; half a text must not reach it."""
    folder = shutil.copytree(students["onnx"], tmp_path / "copy")
    (folder / files.SUMS).unlink()
    state = json.loads((folder / "tokenizer.json").read_text())
    state["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    (folder / "tokenizer.json").write_text(json.dumps(state))
    found, expected = (
        probabilities(OnnxPredictor(place), TEXTS) for place in (folder, students["onnx"])
    )
    assert np.array_equal(found, expected)


def test_a_model_is_named_where_it_is_none(students: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        OnnxPredictor(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"no {FACTS}"):
        OnnxPredictor(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", "[]", "config.json is no JSON object"),
        ("config.json", "{", "holds no model"),
        ("config.json", "{}", "names no padding token"),
        ("tokenizer.json", "{}", "holds no tokenizer"),
        ("model.onnx", "", "holds no whole model"),
    ],
)
def test_damage_is_one_line(
    students: dict[str, Path], tmp_path: Path, name: str, content: str, said: str
) -> None:
    folder = shutil.copytree(students["onnx"], tmp_path / "copy")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=said):
        OnnxPredictor(folder)


def test_changed_names_of_labels_are_those_of_the_model(
    students: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(students["onnx"], tmp_path / "copy")
    (folder / files.SUMS).unlink()
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "x", "1": "y", "2": "z"}
    (folder / "config.json").write_text(json.dumps(config))
    assert OnnxPredictor(folder).names == ["x", "y", "z"]
    del config["id2label"]
    (folder / "config.json").write_text(json.dumps(config))
    assert OnnxPredictor(folder).names == list(LABELS)


def test_outputs_that_are_not_finite_are_refused(students: dict[str, Path]) -> None:
    model = TorchPredictor(students["pytorch"])
    with torch.no_grad():
        model.model.classifier.bias.fill_(torch.nan)
    with pytest.raises(UserError, match="output for text 1 is not finite"):
        model.answers(["a"])


@pytest.mark.parametrize("facts", ["whole", "no kind", "none"])
def test_a_regression_answers_alike_in_every_form(
    tiny_folder: Path, tmp_path: Path, facts: str
) -> None:
    """Also where its configuration alone says what it is, as `Trainer` saves it."""
    folders = [save(tmp_path / f, tiny_folder, f, labels=("score",)) for f in ("pytorch", "onnx")]
    for folder in folders:
        (folder / files.SUMS).unlink()
        if facts == "no kind":
            found = files.read_json(folder / FACTS)
            del found["kind"]
            files.write_json(folder / FACTS, found)
        if facts == "none":
            (folder / FACTS).unlink()
    classify = pipeline("text-classification", model=str(folders[0]), device="cpu")
    expected = [a["score"] for a in classify(TEXTS, function_to_apply="none")]
    for model in (TorchPredictor(folders[0]), OnnxPredictor(folders[1])):
        answers = [answer.as_dict(None) for answer in model.answers(TEXTS)]
        assert [[*answer] for answer in answers] == [["score"]] * len(TEXTS)
        np.testing.assert_allclose([a["score"] for a in answers], expected, atol=1e-5)


def test_a_folder_without_a_kind_is_a_classifier(students: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(students["onnx"], tmp_path / "copy")
    (folder / files.SUMS).unlink()
    facts = files.read_json(folder / FACTS)
    for kind, change in (("classification", {}), ("regression", {"kind": "regression"})):
        kept = {name: value for name, value in facts.items() if name != "kind"}
        files.write_json(folder / FACTS, kept | change)
        assert OnnxPredictor(folder).kind.name == kind
    files.write_json(folder / FACTS, {**facts, "kind": "essay"})
    with pytest.raises(UserError, match=r"is damaged \(no right 'kind'\)"):
        OnnxPredictor(folder)


def test_the_stored_kind_holds_until_the_number_of_outputs_changes(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = save(tmp_path / "student", tiny_folder, "pytorch", labels=("score",), kind="bigru")
    facts = files.read_json(folder / FACTS)
    for labels, kind in ((["score"], "classification"), (["bad", "good"], "regression")):
        files.write_json(folder / FACTS, {**facts, "labels": labels, "kind": "classification"})
        assert read_facts(folder)["kind"] == kind
