"""Logits of many rows: without gradients, in batches of like length, sharded over processes."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate.utils import gather_object

from distillery import progress as bars
from distillery.errors import UserError
from distillery.kernels import hardware
from distillery.kernels.processes import accelerator
from distillery.models import tensors
from distillery.text import batches
from distillery.text.encode import Encoded


def tokens_per_batch() -> int:
    """Tokens of one inference batch: what fits a CPU's caches, or what fills a GPU."""
    return 131072 if hardware.device().type == "cuda" else 8192


def lower(model: torch.nn.Module, precision: str) -> None:
    """Keeps the weights of matmuls and convolutions as `forward` computes with them, so that bf16
    does not convert them in every batch. For a model that is only to answer: outside autocast it
    no longer runs.
    """
    if precision == "bf16":
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv1d):
                module.to(torch.bfloat16)


@torch.inference_mode()
def forward(model: torch.nn.Module, batch: dict[str, torch.Tensor], precision: str) -> torch.Tensor:
    """The logits (B, labels) of one batch, in fp32 on the CPU."""
    moved = {name: tensor.to(hardware.device()) for name, tensor in batch.items()}
    with hardware.autocast(precision):
        logits: torch.Tensor = model(**moved).logits
    return logits.float().cpu()


def logits(
    model: torch.nn.Module,
    encoded: Encoded,
    precision: str,
    what: str,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """The logits (N, labels) of every row, in order. Raises UserError where one is not finite.

    progress: called with the number of tokens after each batch, in place of a bar.
    """
    was_training = model.training
    model.eval()
    found = None  # one array: small ones would lie in memory between the large ones of batches
    plan = batches.inference(encoded.lengths, tokens_per_batch())
    mine = plan[accelerator().process_index :: accelerator().num_processes]
    bar = bars.bar(
        total=int(sum(encoded.lengths[rows].sum() for rows in mine)),
        desc=what,
        unit=" tokens",
        unit_scale=True,
        disable=progress is not None,
    )
    for rows in mine:
        found = _put(
            found, len(encoded), rows, forward(model, tensors.batch(encoded, rows), precision)
        )
        tokens = int(encoded.lengths[rows].sum())
        (progress or bar.update)(tokens)
    bar.close()
    model.train(was_training)
    if accelerator().num_processes > 1:
        found = _gathered(found, mine)
    assert found is not None, "there are rows"
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise UserError(f"{what}: the model's output for row {bad[0]} is not finite")
    return found


def _put(
    found: np.ndarray | None, count: int, rows: np.ndarray, logits: torch.Tensor
) -> np.ndarray:
    """The logits (count, labels) with those of `rows` in their place."""
    if found is None:
        found = np.empty((count, logits.shape[1]), np.float32)
    found[rows] = logits.numpy()
    return found


def _gathered(found: np.ndarray | None, mine: list[np.ndarray]) -> np.ndarray:
    """The logits of all rows, from what each process has found of its own."""
    shares = []
    if found is not None:
        rows = np.concatenate(mine)
        shares = [(rows, found[rows])]
    shares = gather_object(shares)
    everything = np.empty((sum(len(rows) for rows, _ in shares), shares[0][1].shape[1]), np.float32)
    for rows, logits in shares:
        everything[rows] = logits
    return everything
