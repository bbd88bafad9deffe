"""Where a student's weights come from, as the recipe says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, BertConfig, BertForSequenceClassification, DistilBertConfig

from distillery import encoders, files, paths, recipes, tasks
from distillery.distillation import initialization
from distillery.distillation.signals import Teacher
from distillery.errors import UserError
from distillery.models.base import WORD_STD
from distillery.models.heads import HEADS
from distillery.recipes import SequenceRecipe
from distillery.students import BertShape
from tests.conftest import Refused

HEAD = HEADS["classification"].config(("bad", "good"))


def recipe() -> SequenceRecipe:
    found = recipes.student("smoke", "bilstm")
    assert isinstance(found, SequenceRecipe)
    return replace(found, embeddings="encoder")


def test_a_student_without_teacher_starts_from_its_encoders_embeddings(in_smoke_home: Path) -> None:
    chosen = initialization.choose("bilstm", recipe(), None)
    weights = encoders.folder_of("tiny") / encoders.WEIGHTS
    assert chosen.inputs[f"encoders/tiny/{encoders.WEIGHTS}"] == files.sha256(weights)
    task = tasks.get("smoke")
    model, _ = chosen.build(task, recipe(), chosen.tokenizer(task))
    expected = initialization.principal(initialization.word_embeddings(weights.parent), 16)
    expected[model.config.pad_token_id] = 0
    assert torch.equal(model.encoder.word_embeddings.weight, expected)


def test_an_encoder_without_weights_is_refused(home: Path) -> None:
    folder = paths.data() / "reader"
    encoders.save_tiny(folder)
    (folder / encoders.WEIGHTS).unlink()
    with pytest.raises(UserError, match=rf"has no {encoders.WEIGHTS}"):
        initialization.choose("bilstm", replace(recipe(), tokenizer=str(folder)), None)


def test_a_distilled_student_starts_from_its_teacher_instead(
    in_smoke_home: Path, refused: Refused
) -> None:
    distil = ("distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm")
    said = refused(*distil, "--embeddings", "encoder", "--variant", "x")
    assert "a start from the encoder is for students without teacher" in said


@pytest.fixture(scope="module")
def teacher() -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=6,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config).eval()


def begin(teacher: Any, shape: BertShape, rule: str = "uniform") -> tuple[Any, str]:
    student, origin = initialization.from_bert(shape, teacher, rule, dropout=0.0, head=HEAD)
    return student, origin.format("teacher")


def test_layers_are_taken_where_all_sizes_agree(teacher: Any) -> None:
    student, said = begin(teacher, BertShape(3, 16, 2, 24))
    assert said == "teacher layers 2,4,6"
    for mine, number in zip(student.bert.encoder.layer, (2, 4, 6), strict=True):
        theirs = teacher.bert.encoder.layer[number - 1].state_dict()
        assert all(torch.equal(mine.state_dict()[name], theirs[name]) for name in theirs)
    assert begin(teacher, BertShape(3, 16, 2, 24), "last")[1] == "teacher layers 4,5,6"
    whole, said = begin(teacher, BertShape(6, 16, 2, 24))
    assert said == "teacher layers 1,2,3,4,5,6"
    ids = torch.randint(5, 60, (2, 9))
    torch.testing.assert_close(whole.eval()(ids).logits, teacher(ids).logits)


def test_taken_layers_compute_what_they_did_in_the_teacher() -> None:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        hidden_act="relu",
        layer_norm_eps=1e-2,
        initializer_range=0.5,
    )
    teacher = BertForSequenceClassification(config).eval()
    student, _ = begin(teacher, BertShape(2, 16, 2, 24))
    ids = torch.randint(5, 60, (2, 9))
    torch.testing.assert_close(student.eval()(ids).logits, teacher(ids).logits)


@pytest.mark.parametrize(
    "shape",
    [
        BertShape(2, 8, 2, 24),  # narrower
        BertShape(2, 16, 4, 24),  # the same weights would be another function
        BertShape(2, 16, 2, 32),
        BertShape(7, 16, 2, 24),  # deeper
        BertShape(1, 24, 2, 24),  # wider
    ],
)
def test_else_embeddings_are_a_pca_of_the_teachers(teacher: Any, shape: BertShape) -> None:
    student, said = begin(teacher, shape)
    assert said == "PCA of the teacher's embeddings"
    ours, theirs = student.bert.embeddings, teacher.bert.embeddings
    turn = initialization.directions(theirs.word_embeddings.weight, shape.width)
    assert turn.shape == (16, min(shape.width, 16))
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        mine, table = getattr(ours, name).weight, getattr(theirs, name).weight
        assert mine.shape == (len(table), shape.width)
        turned = (table - table.mean(dim=0)) @ turn
        torch.testing.assert_close(mine[:, :16], turned)
        assert not mine[:, 16:].abs().sum()
    spread = ours.word_embeddings.weight[:, :16].var(dim=0)
    assert torch.all(spread.diff() < 1e-7), "of falling spread"
    assert student.config.max_position_embeddings == 40


def test_a_teacher_that_is_no_bert_is_refused_with_what_can_be_done(tmp_path: Path) -> None:
    DistilBertConfig().save_pretrained(tmp_path)
    other = Teacher("other", tmp_path, {}, "", "")
    recipe = recipes.distillation("smoke", "bert_tiny", "tiny")
    with pytest.raises(UserError, match="other is none: --start hub and --start random do not"):
        initialization.choose("bert_tiny", recipe, other)
    random = replace(recipe, start="random")
    assert initialization.choose("bert_tiny", random, other).kind == "random"


def test_sums_of_embeddings_keep_their_distances(teacher: Any) -> None:
    student, _ = begin(teacher, BertShape(1, 16, 1, 24))
    ours, theirs = student.bert.embeddings, teacher.bert.embeddings

    def sums(table: Any) -> torch.Tensor:
        words, places = table.word_embeddings.weight[7:27], table.position_embeddings.weight[:20]
        return torch.pdist(words + places)

    torch.testing.assert_close(sums(ours), sums(theirs), rtol=1e-4, atol=1e-5)


def matrix(rows: int = 40, width: int = 6) -> torch.Tensor:
    """Columns of falling spread, then turned at random, and shifted."""
    random = torch.Generator().manual_seed(0)
    plain = torch.randn(rows, width, generator=random) * torch.arange(width, 0, -1)
    turn, _ = torch.linalg.qr(torch.randn(width, width, generator=random))
    return plain @ turn + 5


def test_embeddings_of_a_model_are_read_from_its_folder(tiny_folder: Path) -> None:
    found = initialization.word_embeddings(tiny_folder)
    expected = AutoModel.from_pretrained(tiny_folder).get_input_embeddings().weight
    assert torch.equal(found, expected)


def test_half_precision_embeddings_come_as_fp32(tmp_path: Path) -> None:
    weights = {"bert.embeddings.word_embeddings.weight": torch.ones(3, 2, dtype=torch.bfloat16)}
    save_file(weights, tmp_path / "model.safetensors")
    assert initialization.word_embeddings(tmp_path).dtype == torch.float32


def test_model_without_word_embeddings_is_refused(tmp_path: Path) -> None:
    save_file(
        {"embeddings.position_embeddings.weight": torch.ones(3, 2)}, tmp_path / "model.safetensors"
    )
    with pytest.raises(UserError, match="has no word embeddings"):
        initialization.word_embeddings(tmp_path)


def test_points_on_a_line_become_their_place_on_it() -> None:
    # (0, 0), (3, 4), (6, 8): centred, the places on the line are -5, 0, 5, of deviation 5.
    found = initialization.principal(torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 1)
    expected = WORD_STD * torch.tensor([[-1.0], [0.0], [1.0]])
    assert torch.allclose(found, expected, atol=1e-6) or torch.allclose(found, -expected, atol=1e-6)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_components_are_uncorrelated_of_falling_spread_and_scaled(width: int) -> None:
    found = initialization.principal(matrix(), width)
    assert found.shape == (40, width)
    spread = found.var(dim=0)
    assert torch.all(spread.diff() < 0)
    covariance = found.T @ found / 39
    assert torch.allclose(covariance, torch.diag(spread), atol=1e-5)
    assert found.std().item() == pytest.approx(WORD_STD, rel=1e-5)


def test_all_components_keep_the_distances() -> None:
    before, after = torch.pdist(matrix()), torch.pdist(initialization.principal(matrix(), 6))
    ratio = after / before
    assert torch.allclose(ratio, ratio[0], rtol=1e-4)


def test_first_components_are_those_of_the_singular_value_decomposition() -> None:
    centred = matrix() - matrix().mean(dim=0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * values[:2]
    found = initialization.principal(matrix(), 2)
    scale = found.norm() / expected.norm()
    assert torch.allclose(found.abs(), (expected * scale).abs(), atol=1e-4)


def test_wider_student_gets_zeros_in_the_rest() -> None:
    found = initialization.principal(matrix(), 9)
    assert found.shape == (40, 9)
    assert torch.equal(found[:, 6:], torch.zeros(40, 3))
    assert torch.allclose(found[:, :6], initialization.principal(matrix(), 6))
