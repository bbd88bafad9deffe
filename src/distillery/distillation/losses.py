"""Losses by name. Each says what it needs beside the student's outputs, not where that comes from.

Those on outputs are pure functions of the student's outputs (B, C) in fp32 and a target, and give a
scalar, the mean over the batch. Those on layers are the modules of `layer_losses`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillery.distillation import layer_losses, layers
from distillery.errors import UserError, choose
from distillery.kinds import KINDS

Terms = tuple[tuple[str, float, Mapping[str, Any]], ...]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(z)_y of labels (B,), mean over all rows; a row without a label (-1) adds zero.

    So it is the same however the rows of a step are shared out among processes.
    """
    return functional.cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / len(labels)


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """(z - y)^2 of one output (B, 1) and numbers (B,), mean over all rows; a row without a label
    (NaN) adds zero."""
    labels = labels.to(outputs.dtype)
    errors = torch.where(labels.isnan(), 0, outputs[:, 0] - labels.nan_to_num())
    return errors.square().sum() / len(labels)


def mse(logits: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the outputs (B, C), mean over rows and outputs (Ba & Caruana 2014, eq. 1;
    Tang et al. 2019, arXiv:1903.12136, eq. 4)."""
    return functional.mse_loss(logits, teacher)


def kl(logits: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """T^2 * KL(softmax(t / T) || softmax(z / T)), mean over rows (Hinton et al. 2015,
    arXiv:1503.02531, sec. 2: the factor T^2 keeps the gradient's size over temperatures)."""
    divergence = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=-1),
        functional.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def teacher_labels(logits: Tensor, teacher: Tensor) -> Tensor:
    """Cross entropy against the label the teacher would give."""
    return functional.cross_entropy(logits, teacher.argmax(dim=-1))


@dataclass(frozen=True)
class Loss:
    """needs: `labels` (true ones), the teacher's `logits`, or `hidden_states`, `attentions` or
    `values` of its layers (and of the student's). functions: by kind of task. options: the lowest
    value of each, None for a word, which the loss itself checks."""

    needs: str
    functions: Mapping[str, Callable[..., Tensor] | type[layer_losses.LayerLoss]]
    options: Mapping[str, float | None] = field(default_factory=dict)


def _any(function: Any) -> dict[str, Any]:
    return dict.fromkeys(KINDS, function)


LOSSES = {
    "labels": Loss("labels", {"classification": cross_entropy, "regression": squared_error}),
    "mse": Loss("logits", _any(mse)),
    "kl": Loss("logits", {"classification": kl}, {"temperature": 0.01}),
    "teacher_labels": Loss("logits", {"classification": teacher_labels}),
    "embeddings": Loss("hidden_states", _any(layer_losses.Embeddings)),
    "hidden": Loss("hidden_states", _any(layer_losses.Hidden), {"layers": None}),
    "cosine": Loss("hidden_states", _any(layer_losses.Cosine), {"layers": None}),
    "attention": Loss("attentions", _any(layer_losses.Attention), {"layers": None}),
    "value_relations": Loss(
        "values", _any(layer_losses.ValueRelations), {"heads": 1, "layers": None}
    ),
}


def needs(terms: Terms) -> set[str]:
    """What the losses of a phase need; UserError on a loss or an option that does not exist."""
    found = set()
    for name, _, options in terms:
        loss = LOSSES[choose("loss", name, LOSSES)]
        for option, value in options.items():
            if option not in loss.options:
                allowed = ", ".join(loss.options) or "it has none"
                raise UserError(f"unknown option of loss {name} '{option}': {allowed}")
            lowest = loss.options[option]
            if lowest is not None and (isinstance(value, str) or not lowest <= value < math.inf):
                shown = value if isinstance(value, str) else f"{value:g}"
                raise UserError(
                    f"{option} {shown} of loss {name} is impossible: {lowest:g} or more"
                )
        found.add(loss.needs)
    return found


def on_outputs(terms: Terms) -> bool:
    """Whether a loss trains the student's outputs."""
    return bool(needs(terms) & {"labels", "logits"})


class Losses(nn.Module):
    """The weighted sum of a phase's losses, and what those on layers learn, such as projections.

    kind: name of the task's kind. student, teacher: what is known of their layers; None where no
    loss compares layers. UserError where a loss is not for the kind, or the layers can't be
    compared.
    """

    def __init__(
        self,
        terms: Terms,
        kind: str,
        student: layers.Source | None = None,
        teacher: layers.Source | None = None,
    ) -> None:
        super().__init__()
        self.needs = needs(terms)
        self.on_outputs: list[tuple[float, str, Callable[..., Tensor], Mapping[str, Any]]] = []
        self.weights: list[float] = []
        self.on_layers = nn.ModuleList()
        for name, weight, options in terms:
            loss = LOSSES[name]
            if kind not in loss.functions:
                raise UserError(f"loss {name} is for {', '.join(loss.functions)}, not for {kind}")
            function = loss.functions[kind]
            if isinstance(function, type):
                if not student or not teacher:
                    raise UserError(f"loss {name} compares layers: it needs a live teacher")
                for source in (student, teacher):
                    source.refuse_what_is_missing({loss.needs})
                self.weights.append(weight)
                self.on_layers.append(function(student, teacher, **options))
            else:
                self.on_outputs.append((weight, loss.needs, function, options))

    def forward(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """student, teacher: what they gave for the batch (`layers.Layers`, or an output with
        `logits`); teacher None where no loss needs one."""
        logits = student.logits.float()
        targets = {"labels": batch.get("labels"), "logits": teacher.logits if teacher else None}
        parts = [
            weight * function(logits, targets[need], **options)
            for weight, need, function, options in self.on_outputs
        ]
        if not parts:  # several processes wait for a gradient of every weight
            parts.append(0 * logits.sum())
        for weight, loss in zip(self.weights, self.on_layers, strict=True):
            parts.append(weight * loss(student, teacher, batch["attention_mask"]))
        return torch.stack(parts).sum()
