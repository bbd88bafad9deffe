"""Structured pruning: the least important units go, and the matrices become smaller.

A unit's importance is the expected sensitivity of the loss to a gate on it (Michel et al. 2019,
arXiv:1905.10650, eq. 2): I = E_x |dL(x) / dg| at g = 1, where g scales the unit wherever it is
read. That derivative is the sum of w dL/dw over the weights that read the unit: the first-order
Taylor expansion of the loss of losing it (Molchanov et al. 2017, arXiv:1611.06440, eq. 5).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from distillery.compression import units
from distillery.compression.units import Group
from distillery.errors import UserError


def importance(
    model: Any, losses: Iterable[Callable[[Any], Tensor]], groups: list[Group]
) -> list[Tensor]:
    """Per group the importance (units,) of each unit.

    losses: of single rows, each a function of the model; their number must not be zero.
    """
    totals = [torch.zeros(group.count) for group in groups]
    weights = dict(model.named_parameters())
    model.eval()
    for loss_of in losses:
        model.zero_grad(set_to_none=True)
        with torch.backends.cudnn.flags(enabled=False):  # its RNNs have no gradients in eval mode
            loss_of(model).backward()
        for group, total in zip(groups, totals, strict=True):
            total += _gate_gradient(weights, group).abs()
    model.zero_grad(set_to_none=True)
    return totals


def _gate_gradient(weights: dict[str, Any], group: Group) -> Tensor:
    """dL/dg (units,) from the gradients that the weights hold."""
    found = torch.zeros(group.count)
    every = torch.arange(group.count)
    for part in group.read:
        weight = weights[part.weight]
        others = [dim for dim in range(weight.ndim) if dim != part.dim]
        by_place = (weight.detach() * weight.grad).sum(dim=others).cpu()
        found += by_place[part.places(every)].sum(dim=1)
    return found


def pruned(model: Any, scores: list[Tensor], groups: list[Group], sparsity: float) -> Any:
    """A new, smaller classifier without the `sparsity` share of units of the lowest scores.

    The same number stays in every layer, one at least. UserError where none would go.
    """
    kept = {group.kind: max(1, round(group.count * (1 - sparsity))) for group in groups}
    if all(kept[group.kind] == group.count for group in groups):
        raise UserError(f"sparsity {sparsity:g} takes nothing out of this model")
    state = model.state_dict()
    stays: dict[tuple[str, int], Tensor] = {}
    for group, score in zip(groups, scores, strict=True):
        lost = score.argsort(stable=True)[: group.count - kept[group.kind]]
        for part in (*group.written, *group.read):
            size = state[part.weight].shape[part.dim]
            mask = stays.setdefault((part.weight, part.dim), torch.ones(size, dtype=torch.bool))
            mask[part.places(lost)] = False
    for (name, dim), mask in stays.items():
        state[name] = state[name].index_select(dim, mask.nonzero()[:, 0].to(state[name].device))
    smaller = units.smaller(model, kept)
    smaller.load_state_dict(state)
    return smaller
