"""Losses by name. Each says what it needs beside the student's logits.

Those on logits take logits (B, C) in fp32 and give a scalar, the mean over the batch; those on
layers are the modules of `layer_losses`, for a teacher that runs live.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillery.distillation import layer_losses, layers
from distillery.errors import UserError, choose


def cross_entropy(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Hard labels: -log softmax(z)_y, mean over all rows; one without a label (-1) adds zero.

    So it is the same however the rows of a step are shared out among processes.
    """
    labels = batch["labels"]
    return functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / len(labels)


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
    """needs: `labels` (of the data), recorded `logits` of the teacher, or its `hidden_states`,
    `attentions` or `values`, live; the student's too. options: their lowest values."""

    function: Callable[..., Tensor] | type[layer_losses.LayerLoss]
    needs: str
    options: Mapping[str, float]

    @property
    def on_layers(self) -> bool:
        return self.needs in layers.EVERYTHING


LOSSES = {
    "cross_entropy": Loss(cross_entropy, "labels", {}),
    "mse": Loss(mse, "logits", {}),
    "kl": Loss(kl, "logits", {"temperature": 0.01}),
    "teacher_labels": Loss(teacher_labels, "logits", {}),
    "embeddings": Loss(layer_losses.Embeddings, "hidden_states", {}),
    "hidden": Loss(layer_losses.Hidden, "hidden_states", {}),
    "cosine": Loss(layer_losses.Cosine, "hidden_states", {}),
    "attention": Loss(layer_losses.Attention, "attentions", {}),
    "value_relations": Loss(layer_losses.ValueRelations, "values", {"heads": 1}),
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


def on_layers(terms: Terms) -> bool:
    """Whether a loss compares layers, for which the teacher runs live."""
    return bool(needs(terms) & set(layers.EVERYTHING))


def on_logits(terms: Terms) -> bool:
    """Whether a loss trains the student's logits."""
    return bool(needs(terms) & {"labels", "logits"})


def combined(terms: Terms) -> Callable[[Tensor, Mapping[str, Tensor]], Tensor]:
    """(logits, batch) -> the weighted sum of the losses; UserError where one is on layers."""
    if on_layers(terms):
        live = next(name for name, _, _ in terms if LOSSES[name].on_layers)
        raise UserError(f"loss {live} needs a teacher that runs live: here there are logits alone")
    found: list[tuple[Any, float, Mapping[str, float]]] = [
        (LOSSES[name].function, weight, options) for name, weight, options in terms
    ]

    def total(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        logits = logits.float()
        parts = [weight * function(logits, batch, **options) for function, weight, options in found]
        return torch.stack(parts).sum()

    return total


class LiveLosses(nn.Module):
    """The weighted sum of losses of which some are on layers, and what these learn.

    Raises UserError where student and teacher cannot be compared so.
    """

    def __init__(self, terms: Terms, student: layers.Source, teacher: layers.Source) -> None:
        super().__init__()
        for source in (student, teacher):
            source.refuse_what_is_missing(needs(terms))
        plain = tuple(term for term in terms if not LOSSES[term[0]].on_layers)
        self.plain = combined(plain) if plain else _no_loss
        self.weights = [weight for name, weight, _ in terms if LOSSES[name].on_layers]
        kinds = [(LOSSES[name].function, options) for name, _, options in terms]
        self.live = nn.ModuleList(
            kind(student, teacher, **options) for kind, options in kinds if isinstance(kind, type)
        )

    def forward(
        self, student: layers.Layers, teacher: layers.Layers, batch: Mapping[str, Tensor]
    ) -> Tensor:
        mask = batch["attention_mask"]
        parts = [
            weight * loss(student, teacher, mask)
            for weight, loss in zip(self.weights, self.live, strict=True)
        ]
        return torch.stack([self.plain(student.logits, batch), *parts]).sum()


def _no_loss(logits: Tensor, _: Mapping[str, Tensor]) -> Tensor:
    """Zero, with a gradient of zero in every weight: several processes wait for each of them."""
    return 0 * logits.float().sum()
