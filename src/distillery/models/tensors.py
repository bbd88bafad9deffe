"""Batches as PyTorch reads them."""

import numpy as np
import torch

from distillery.text.encode import Encoded


def batch(encoded: Encoded, rows: np.ndarray) -> dict[str, torch.Tensor]:
    """The rows of `Encoded.batch` as tensors, (B, T) int64 each."""
    return {name: torch.from_numpy(array) for name, array in encoded.batch(rows).items()}
