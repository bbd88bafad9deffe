"""Copies of saved models that a user fine-tuned and saved again."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from distillery import files, paths
from distillery.cli import main
from distillery.runtime.facts import FACTS
from tests.models import saving

TEXT = "the film was great, " * 9
Refused = Callable[..., str]


@pytest.fixture(params=["bilstm", "bag", "teacher"])
def original(request: pytest.FixtureRequest, home: Path, tiny_folder: Path) -> Path:
    """A model inside the data folder, sealed as a stage leaves it."""
    folder = paths.model("films", "it")
    with files.replacing_folder(folder) as temporary:
        saving.save(temporary, tiny_folder, request.param)
    return folder


def fine_tune(source: Path, target: Path, **options: Any) -> None:
    """Changes a model's weights, and saves it with its tokenizer by transformers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(source, **options)
    tokenizer = AutoTokenizer.from_pretrained(source)
    for weight in model.classifier.parameters():
        torch.nn.init.normal_(weight)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def answer(folder: Path, capsys: pytest.CaptureFixture[str], text: str = TEXT) -> list[str]:
    capsys.readouterr()
    assert main(["predict", str(folder), text]) == 0
    return capsys.readouterr().out.split("\t")[:2]


def expected(folder: Path, text: str = TEXT) -> list[str]:
    (found,) = pipeline("text-classification", model=str(folder), device="cpu")(
        text, truncation=True
    )
    return [found["label"], f"{found['score']:.4f}"]


def test_a_copy_saved_over_is_used_with_a_warning(
    original: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    copy = shutil.copytree(original, tmp_path / "copy")
    before = answer(copy, capsys)
    assert not caplog.messages
    fine_tune(copy, copy)
    assert answer(copy, capsys) == expected(copy) != before
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "model.safetensors" in warnings[0]
    assert "changed since distillery saved it" in warnings[0]


def test_what_a_stage_made_is_held_to_its_checksums(original: Path, refused: Refused) -> None:
    fine_tune(original, original)
    said = refused("predict", original, TEXT)
    assert "model.safetensors is missing or damaged: run its stage again" in said
    assert "copy the folder elsewhere" in said


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_half_a_file_of_a_copy_is_refused(
    original: Path, tmp_path: Path, refused: Refused, name: str
) -> None:
    path = shutil.copytree(original, tmp_path / "copy") / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(path.parent) in refused("predict", path.parent, TEXT)


@pytest.mark.parametrize("kind", ["attention", "bag"])
def test_a_student_saved_by_transformers_alone_is_used(
    kind: str, home: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saving.save(tmp_path / "it", tiny_folder, kind)
    fine_tune(tmp_path / "it", tmp_path / "new")
    assert not (tmp_path / "new" / FACTS).exists()
    assert answer(tmp_path / "new", capsys) == expected(tmp_path / "new")


def test_a_student_reads_as_its_configuration_says_now(
    home: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saving.save(tmp_path, tiny_folder, "bilstm", head=1.0)
    fine_tune(tmp_path, tmp_path, max_length=9, head=0.0)
    text = "the film was great, " * 9 + "it was bad"
    assert answer(tmp_path, capsys, text) == expected(tmp_path, text)


def test_a_teacher_saved_by_transformers_alone_is_refused(
    home: Path, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    saving.save(tmp_path / "it", tiny_folder, "teacher")
    fine_tune(tmp_path / "it", tmp_path / "new")
    assert "a fine-tuned copy needs that of its original" in refused(
        "predict", tmp_path / "new", TEXT
    )
