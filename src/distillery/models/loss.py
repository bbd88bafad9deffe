"""The loss that classifiers compute when they are called with `labels`."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

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
        loss: Tensor = loss_of(logits, targets)
        return loss
    if isinstance(num_items_in_batch, Tensor):
        num_items_in_batch = num_items_in_batch.to(logits.device)
    total: Tensor = loss_of(logits, targets, reduction="sum")
    return total / num_items_in_batch
