"""Optimizers of the training loop: AdamW, and a lazy Adam for large sparse tables."""

from typing import Any

import torch

from distillery.kernels import hardware
from distillery.recipes import Phase

MAX_GRAD_NORM = 1.0  # gradients are clipped to it


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero at the last step."""
    warm = phase.warmup * steps
    if step < warm:
        return phase.learning_rate * (step + 1) / (warm + 1)
    return phase.learning_rate * (steps - step) / max(1.0, steps - warm)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices, none on biases, norms and embeddings."""
    embeddings = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    spared = {id(weight) for weight in model.parameters() if weight.ndim < 2}
    spared |= {id(weight) for weight in embeddings}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return [
        {"params": [w for w in weights if id(w) not in spared], "weight_decay": weight_decay},
        {"params": [w for w in weights if id(w) in spared], "weight_decay": 0.0},
    ]


def create(
    model: torch.nn.Module, phase: Phase, captured: bool = False
) -> list[torch.optim.Optimizer]:
    """AdamW for the model; after it a lazy Adam if the model has n-gram tables (`models.bag`),
    whose gradients become sparse, since a batch reads only a few of their rows.

    captured: steps run in a CUDA graph, which reads the learning rate from GPU memory.
    """
    groups = parameter_groups(model, phase.weight_decay)
    tables = set_sparse(model, True)
    sparse = {id(weight) for weight in tables}
    for group in groups:
        group["params"] = [weight for weight in group["params"] if id(weight) not in sparse]
    rate: Any = phase.learning_rate
    if captured:
        rate = torch.tensor(rate, device=hardware.device())
    dense = torch.optim.AdamW(groups, lr=rate, fused=True, capturable=captured)
    lazy = [torch.optim.SparseAdam(tables, lr=phase.learning_rate)] if tables else []
    return [dense, *lazy]


def set_sparse(model: torch.nn.Module, sparse: bool) -> list[torch.Tensor]:
    """Makes the gradients of a model's n-gram tables sparse or dense; returns their weights."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.EmbeddingBag)]
    for table in tables:
        table.sparse = sparse
    return [table.weight for table in tables]


def set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):  # read by a CUDA graph
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def clip(optimizers: list[torch.optim.Optimizer]) -> None:
    """Clips the norm of the dense gradients to `MAX_GRAD_NORM`. Fused AdamW divides by `grad_scale`
    as it reads them, which saves a pass over every gradient."""
    dense: Any = optimizers[0]
    weights = [weight for group in dense.param_groups for weight in group["params"]]
    grads = [weight.grad for weight in weights if weight.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads, foreach=True)
    dense.grad_scale = (norm / MAX_GRAD_NORM).clamp(min=1.0)
    dense.found_inf = torch.zeros_like(norm)
