"""Small classifiers of every kind that stage 5 knows, and running text for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

import distillery.models.registry  # noqa: F401  registers the students
from distillery.compression import prune
from distillery.models import registry
from distillery.runtime.predictor import open_session, run
from distillery.students import OWN, STUDENTS
from distillery.text.encode import Encoded

MAX_LENGTH, VOCABULARY = 24, 200
KINDS = (*OWN, "bert", "pruned bert")
PRUNABLE = tuple(kind for kind in KINDS if kind not in OWN or STUDENTS[kind].prunes)


def classifier(kind: str, **sizes: Any) -> Any:
    """A classifier with random weights, in evaluation mode."""
    torch.manual_seed(0)
    if kind.endswith("bert"):
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=MAX_LENGTH,
        )
        model = BertForSequenceClassification(config)
        if kind == "pruned bert":
            model = prune.smaller(model, {"heads": 3, "neurons": 20})
        return model.eval()
    own = {"buckets": 3000} if kind == "bag" else {"embedding_size": 32, "hidden_size": 32}
    sizes = {"vocab_size": VOCABULARY, **own, **sizes}
    return registry.create(kind, max_length=MAX_LENGTH, **sizes).eval()


def batch(rows: int, length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """(B, T) inputs; the first row fills the length."""
    chance = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length + 1, (rows, 1), generator=chance)
    lengths[0] = length
    mask = (torch.arange(length) < lengths).long()
    ids = torch.randint(5, VOCABULARY, (rows, length), generator=chance) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(mask)}


def onnx_outputs(path: Path, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The outputs (B, C) of an ONNX model."""
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    return torch.from_numpy(run(open_session(path, 1), arrays))


@pytest.fixture
def text() -> Encoded:
    """Rows of word pieces between the special ones 2 and 3; padding is 0."""
    chance = np.random.default_rng(0)
    rows = [[2, *chance.integers(5, VOCABULARY, size), 3] for size in chance.integers(1, 20, 30)]
    lengths = [len(row) for row in rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Encoded(np.concatenate(rows).astype(np.int32), offsets, np.array(lengths), 0)
