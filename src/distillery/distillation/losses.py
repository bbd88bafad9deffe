"""Losses by name. Each says what it needs beside the student's logits.

All take logits (B, C) in fp32 and give a scalar, the mean over the batch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from distillery.errors import UserError, choose


def cross_entropy(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Hard labels: -log softmax(z)_y. Rows without a label (-1) count nothing."""
    labels = batch["labels"]
    known = (labels >= 0).sum().clamp(min=1)
    return functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / known


def mse(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Squared distance of the logits, mean over rows and labels (Ba & Caruana 2014, eq. 1;
    Tang et al. 2019, arXiv:1903.12136, eq. 4)."""
    return functional.mse_loss(logits, batch["teacher_logits"])


def kl(logits: Tensor, batch: Mapping[str, Tensor], temperature: float = 2.0) -> Tensor:
    """T^2 * KL(softmax(t / T) || softmax(z / T)), mean over rows (Hinton et al. 2015,
    arXiv:1503.02531, sec. 2: the factor T^2 keeps the gradient's size over temperatures)."""
    divergence = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=-1),
        functional.log_softmax(batch["teacher_logits"] / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def teacher_labels(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Cross entropy against the label the teacher would give."""
    return functional.cross_entropy(logits, batch["teacher_logits"].argmax(dim=-1))


@dataclass(frozen=True)
class Loss:
    """needs: `labels` (of the data) or `logits` (of the teacher). options: their lowest values."""

    function: Callable[..., Tensor]
    needs: str
    options: Mapping[str, float]


LOSSES = {
    "cross_entropy": Loss(cross_entropy, "labels", {}),
    "mse": Loss(mse, "logits", {}),
    "kl": Loss(kl, "logits", {"temperature": 0.01}),
    "teacher_labels": Loss(teacher_labels, "logits", {}),
}

Terms = tuple[tuple[str, float, Mapping[str, float]], ...]


def needs(terms: Terms) -> set[str]:
    """What the losses of a phase need; UserError on a loss or an option that does not exist."""
    found = set()
    for name, _, options in terms:
        loss = LOSSES[choose("loss", name, LOSSES)]
        for option, value in options.items():
            if option not in loss.options:
                allowed = ", ".join(loss.options) or "it has none"
                raise UserError(f"unknown option of loss {name} '{option}': {allowed}")
            if not loss.options[option] <= value < math.inf:
                raise UserError(
                    f"{option} {value:g} of loss {name} is impossible: {loss.options[option]:g}"
                    " or more"
                )
        found.add(loss.needs)
    return found


def combined(terms: Terms) -> Callable[[Tensor, Mapping[str, Tensor]], Tensor]:
    """(logits, batch) -> the weighted sum of the losses."""
    needs(terms)

    def total(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        logits = logits.float()
        parts = [
            weight * LOSSES[name].function(logits, batch, **options)
            for name, weight, options in terms
        ]
        return torch.stack(parts).sum()

    return total
