"""A model's outputs for many rows: no gradients, batches of similar length, several processes."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate.utils import gather_object

from distillery import progress as bars
from distillery.errors import UserError
from distillery.kernels import hardware
from distillery.kernels.hardware import accelerator
from distillery.text import encode
from distillery.text.encode import Encoded


def tensors(encoded: Encoded, rows: np.ndarray) -> dict[str, torch.Tensor]:
    """The rows of `Encoded.batch` as tensors, (B, T) int64 each."""
    return {name: torch.from_numpy(array) for name, array in encoded.batch(rows).items()}


def tokens_per_batch() -> int:
    """Tokens of one inference batch: what fits a CPU's caches, or what fills a GPU."""
    return 131072 if hardware.device().type == "cuda" else 8192


def lower(model: torch.nn.Module, precision: str) -> None:
    """Stores the weights of matmuls and convolutions as `forward` computes with them, so that bf16
    does not convert them in every batch. For inference only: outside autocast the model no longer
    runs.
    """
    if precision == "bf16":
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv1d):
                module.to(torch.bfloat16)


@torch.inference_mode()
def forward(model: torch.nn.Module, batch: dict[str, torch.Tensor], precision: str) -> torch.Tensor:
    """The logits (B, C) of one batch, in fp32 on the CPU."""
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
    """The logits (N, C) of every row, in order. Raises UserError if one is not finite.

    progress: called with the number of tokens after each batch, in place of a bar.
    """
    was_training = model.training
    model.eval()
    outputs: np.ndarray | None = None  # one array: a small one per batch would fragment the memory
    plan = encode.inference_batches(encoded.lengths, tokens_per_batch())
    mine = plan[accelerator().process_index :: accelerator().num_processes]
    total = int(sum(encoded.lengths[rows].sum() for rows in mine))
    about = {"desc": what, "unit": " tokens", "unit_scale": True}
    with bars.bar(total=total, **about, disable=progress is not None) as bar:
        for rows in mine:
            some = forward(model, tensors(encoded, rows), precision).numpy()
            if outputs is None:
                outputs = np.empty((len(encoded), *some.shape[1:]), np.float32)
            outputs[rows] = some
            (progress or bar.update)(int(encoded.lengths[rows].sum()))
    model.train(was_training)
    if accelerator().num_processes > 1:
        shares = gather_object([(rows, outputs[rows]) for rows in mine if outputs is not None])
        outputs = np.empty((len(encoded), *shares[0][1].shape[1:]), np.float32)
        for rows, some in shares:
            outputs[rows] = some
    assert outputs is not None, "there are rows"
    bad = np.flatnonzero(~np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))
    if len(bad):
        raise UserError(f"{what}: the model's output for row {bad[0]} is not finite")
    return outputs
