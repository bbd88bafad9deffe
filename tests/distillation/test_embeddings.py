"""A start for the student's word embeddings from the teacher's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from distillery.distillation import embeddings
from distillery.errors import UserError
from distillery.models.base import WORD_STD


def matrix(rows: int = 40, width: int = 6) -> torch.Tensor:
    """Columns of falling spread, then turned at random, and shifted."""
    random = torch.Generator().manual_seed(0)
    plain = torch.randn(rows, width, generator=random) * torch.arange(width, 0, -1)
    turn, _ = torch.linalg.qr(torch.randn(width, width, generator=random))
    return plain @ turn + 5


def test_embeddings_of_a_model_are_read_from_its_folder(tiny_folder: Path) -> None:
    found = embeddings.word_embeddings(tiny_folder)
    expected = AutoModel.from_pretrained(tiny_folder).get_input_embeddings().weight
    assert torch.equal(found, expected)


def test_half_precision_embeddings_come_as_fp32(tmp_path: Path) -> None:
    weights = {"bert.embeddings.word_embeddings.weight": torch.ones(3, 2, dtype=torch.bfloat16)}
    save_file(weights, tmp_path / "model.safetensors")
    assert embeddings.word_embeddings(tmp_path).dtype == torch.float32


def test_model_without_word_embeddings_is_refused(tmp_path: Path) -> None:
    save_file(
        {"embeddings.position_embeddings.weight": torch.ones(3, 2)}, tmp_path / "model.safetensors"
    )
    with pytest.raises(UserError, match="has no word embeddings"):
        embeddings.word_embeddings(tmp_path)


def test_points_on_a_line_become_their_place_on_it() -> None:
    # (0, 0), (3, 4), (6, 8): centred, the places on the line are -5, 0, 5, of deviation 5.
    found = embeddings.principal(torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 1)
    expected = WORD_STD * torch.tensor([[-1.0], [0.0], [1.0]])
    assert torch.allclose(found, expected, atol=1e-6) or torch.allclose(found, -expected, atol=1e-6)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_components_are_uncorrelated_of_falling_spread_and_scaled(width: int) -> None:
    found = embeddings.principal(matrix(), width)
    assert found.shape == (40, width)
    spread = found.var(dim=0)
    assert torch.all(spread.diff() < 0)
    covariance = found.T @ found / 39
    assert torch.allclose(covariance, torch.diag(spread), atol=1e-5)
    assert found.std().item() == pytest.approx(WORD_STD, rel=1e-5)


def test_all_components_keep_the_distances() -> None:
    before, after = torch.pdist(matrix()), torch.pdist(embeddings.principal(matrix(), 6))
    ratio = after / before
    assert torch.allclose(ratio, ratio[0], rtol=1e-4)


def test_first_components_are_those_of_the_singular_value_decomposition() -> None:
    centred = matrix() - matrix().mean(dim=0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * values[:2]
    found = embeddings.principal(matrix(), 2)
    scale = found.norm() / expected.norm()
    assert torch.allclose(found.abs(), (expected * scale).abs(), atol=1e-4)


def test_wider_student_gets_zeros_in_the_rest() -> None:
    found = embeddings.principal(matrix(), 9)
    assert found.shape == (40, 9)
    assert torch.equal(found[:, 6:], torch.zeros(40, 3))
    assert torch.allclose(found[:, :6], embeddings.principal(matrix(), 6))
