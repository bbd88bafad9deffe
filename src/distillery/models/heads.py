"""Heads by kind of task: what makes outputs of an encoder's states, and the loss of those outputs.

`HEADS` says how models of transformers get the head of a kind. Students of our own all have the
one of `Classifier`: pooled states and a linear layer, with an output per label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from distillery.models.base import Network, shorten


@dataclass(frozen=True)
class Head:
    """The head of a kind in transformers.

    problem_type: of the configuration; None leaves it to transformers, which infers it from labels.
    auto: the Auto class of an encoder with this head.
    """

    problem_type: str | None = None
    auto: str = "AutoModelForSequenceClassification"

    def config(self, labels: Sequence[str]) -> dict[str, Any]:
        """The fields of a model's configuration for a task with these labels."""
        fields: dict[str, Any] = {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
        }
        return fields | ({"problem_type": self.problem_type} if self.problem_type else {})

    def load(self, folder: Path, labels: Sequence[str]) -> Any:
        """The encoder in a folder with this head, in fp32: the folder's own if it has one of this
        size, else random. UserError if it can't be loaded."""
        import transformers

        from distillery.models import auto

        return auto.load(getattr(transformers, self.auto), folder, **self.config(labels))


HEADS = {"classification": Head(), "regression": Head("regression")}  # by the name of the kind


class Pool(nn.Module):
    """(B, T, H) -> (B, 2H): an attention-weighted mean and the maximum, over text only."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        hidden = ~mask.bool()[:, :, None]  # (B, T, 1), true on padding
        scores = self.query(states)  # (B, T, 1), in a lower precision than `states` under autocast
        weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=1)
        with torch.autocast(states.device.type, enabled=False):  # in the precision of `states`
            mean = (weights.to(states.dtype).transpose(1, 2) @ states).squeeze(1)
        lowest = torch.finfo(states.dtype).min
        # adding takes half the time of `masked_fill`
        highest = (states + hidden.to(states.dtype) * lowest).amax(dim=1)
        return torch.cat([mean, highest], dim=-1)


class Ends(nn.Module):
    """(B, T, H) -> (B, 2H): the states of the last and of the first word piece, where the two
    directions of an RNN end."""

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        places = torch.arange(mask.shape[1], device=mask.device) * mask  # (B, T), 0 where no text
        last = places.amax(dim=1)
        first = last - mask.sum(dim=1).clamp(min=1) + 1  # a text is contiguous
        rows = torch.arange(states.shape[0], device=states.device)
        return torch.cat([states[rows, last], states[rows, first]], dim=-1)


def compare(one: Tensor, two: Tensor) -> Tensor:
    """(B, D) twice -> (B, 4D): u, v, |u - v| and u * v (Conneau et al. 2017, arXiv:1705.02364, sec.
    3.1; for distilled LSTMs arXiv:1903.12136, sec. 3.1)."""
    return torch.cat([one, two, (one - two).abs(), one * two], dim=-1)


class Classifier(Network):
    """An encoder with the head that all students of our own share.

    The encoder reads a pair as one sequence; its texts are then pooled separately and compared.

    sizes: fields of the configuration that `pretrained.StudentConfig` lacks, or has with another
    default. gives: what losses on layers can compare, token by token. capturable: whether a
    training step can be a CUDA graph: nothing in it waits for the GPU, as packing and sparse
    gradients do.
    """

    encoder_class: ClassVar[type[Network]]
    sizes: ClassVar[Mapping[str, Any]] = {}
    gives: ClassVar[tuple[str, ...]] = ("hidden_states",)
    capturable: ClassVar[bool] = False
    encoder: Any

    def make(self, config: Any) -> None:
        self.encoder = self.encoder_class(config)
        width = self.build_head(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width, config.num_labels)

    def build_head(self, config: Any) -> int:
        """Creates the layers that pool the encoder's output; returns the pooled vector's width."""
        self.pool = Ends() if config.pooling == "last" else Pool(config.hidden_size)
        return (8 if config.pairs else 2) * int(config.hidden_size)

    def vector(self, encoded: Any, mask: Tensor, types: Tensor) -> Tensor:
        """The encoder's output, mask and token types (B, T) -> (B, width)."""
        mask, types = shorten(self.config, mask, types)
        states = encoded.last_hidden_state
        if self.config.pairs:
            parts = (mask * (1 - types), mask * types)
            return compare(*(self._pooled_part(states, part) for part in parts))
        result: Tensor = self.pool(states, mask)
        return result

    def _pooled_part(self, states: Tensor, part: Tensor) -> Tensor:
        """(B, T, H) and a mask (B, T) -> (B, 2H), zero for a row without any such token."""
        pooled: Tensor = self.pool(states, part)
        return pooled.masked_fill(~part.bool().any(dim=1, keepdim=True), 0)

    def head(self, encoded: Any, mask: Tensor, types: Tensor) -> Tensor:
        """The encoder's output, mask and token types (B, T) -> logits (B, num_labels)."""
        result: Tensor = self.classifier(self.dropout(self.vector(encoded, mask, types)))
        return result

    def logits(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """Complete inputs (B, T) -> logits (B, num_labels)."""
        return self.head(self.encoder.compute(ids, mask, types), mask, types)


_LOSSES = {
    "regression": mse_loss,
    "single_label_classification": cross_entropy,
    "multi_label_classification": binary_cross_entropy_with_logits,
}


def classification_loss(
    labels: Tensor,
    pooled_logits: Tensor,
    config: Any,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor:
    """The loss of logits (B, num_labels), as a scalar.

    `config.problem_type` decides, as in transformers, and is inferred as there where it is None:
    regression where num_labels is 1, single_label_classification for integer labels, else
    multi_label_classification.

    num_items_in_batch: label values in all batches of an optimizer step, from `Trainer`. The sum
    over this batch is divided by it, so that gradient accumulation adds up to the mean over all
    rows. The loss of transformers ignores it for regression and multi-label classification
    (5.23), so there n accumulation steps give n times the loss.

    labels: (B,) class numbers, or (B, num_labels) values; for regression with one output (B,).
    ValueError where the labels have the wrong shape.
    """
    if config.problem_type is None:
        if config.num_labels == 1:
            config.problem_type = "regression"
        elif labels.dtype in (torch.long, torch.int):
            config.problem_type = "single_label_classification"
        else:
            config.problem_type = "multi_label_classification"
    loss_of: Any = _LOSSES[config.problem_type]
    logits, targets = pooled_logits, labels.to(pooled_logits.device)
    if loss_of is cross_entropy:
        targets, expected = targets.view(-1), logits.shape[:1]
    else:
        targets = targets.to(logits.dtype)
        if config.num_labels == 1:
            logits, targets = logits.view(-1), targets.view(-1)
        expected = logits.shape
    if targets.shape != expected:
        raise ValueError(
            f"{config.problem_type} of logits {tuple(pooled_logits.shape)} needs labels of shape"
            f" {tuple(expected)}, not {tuple(labels.shape)}"
        )
    if num_items_in_batch is None:
        result: Tensor = loss_of(logits, targets)
        return result
    if isinstance(num_items_in_batch, Tensor):
        num_items_in_batch = num_items_in_batch.to(logits.device)
    total: Tensor = loss_of(logits, targets, reduction="sum")
    return total / num_items_in_batch
