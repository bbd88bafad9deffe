"""Where a student's weights start, as the recipe says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from distillery import encoders, files, paths, recipes, tasks
from distillery.distillation import embeddings, start
from distillery.errors import UserError
from distillery.models import tiny
from distillery.recipes import SequenceRecipe
from tests.conftest import Refused


def recipe() -> SequenceRecipe:
    found = recipes.student("smoke", "bilstm")
    assert isinstance(found, SequenceRecipe)
    return replace(found, embeddings="encoder")


def test_a_student_without_teacher_starts_from_its_encoders_embeddings(in_smoke_home: Path) -> None:
    chosen = start.choose("bilstm", recipe(), None)
    weights = encoders.folder_of("tiny") / encoders.WEIGHTS
    assert chosen.inputs[f"encoders/tiny/{encoders.WEIGHTS}"] == files.sha256(weights)
    task = tasks.get("smoke")
    model, _ = chosen.build(task, recipe(), chosen.tokenizer(task))
    expected = embeddings.principal(embeddings.word_embeddings(weights.parent), 16)
    expected[model.config.pad_token_id] = 0
    assert torch.equal(model.encoder.word_embeddings.weight, expected)


def test_an_encoder_without_weights_is_refused(home: Path) -> None:
    folder = paths.data() / "reader"
    tiny.save(folder)
    (folder / encoders.WEIGHTS).unlink()
    with pytest.raises(UserError, match=rf"has no {encoders.WEIGHTS}"):
        start.choose("bilstm", replace(recipe(), tokenizer=str(folder)), None)


def test_a_distilled_student_starts_from_its_teacher_instead(
    in_smoke_home: Path, refused: Refused
) -> None:
    distil = ("distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm")
    said = refused(*distil, "--embeddings", "encoder", "--variant", "x")
    assert "a start from the encoder is for students without teacher" in said
