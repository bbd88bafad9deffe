"""Initial word embeddings of a student, from those of another model."""

from pathlib import Path

import torch
from safetensors import safe_open

from distillery import encoders
from distillery.errors import UserError
from distillery.models.base import WORD_STD


def word_embeddings(folder: Path) -> torch.Tensor:
    """The word embedding matrix (V, H) of the model saved in a folder."""
    with safe_open(folder / encoders.WEIGHTS, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            if name.endswith("embeddings.word_embeddings.weight"):
                found: torch.Tensor = file.get_tensor(name)
                return found.float()
    raise UserError(f"the model in {folder} has no word embeddings to start from")


def directions(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """(V, H) -> (H, width or H, the less): where the rows are spread most, of falling spread."""
    centred = matrix - matrix.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # eigenvalues rise
    falling: torch.Tensor = vectors.flip(1)[:, :width]
    return falling


def principal(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """(V, H) -> (V, width): the first principal components, scaled as a random start would be.

    Where the matrix is narrower than `width`, the rest of the columns is zero.
    """
    components = (matrix - matrix.mean(dim=0)) @ directions(matrix, width)
    components = components * (WORD_STD / components.std())
    return torch.nn.functional.pad(components, (0, width - components.shape[1]))
