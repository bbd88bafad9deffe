"""A student of BERT's shape that starts from another BERT: its teacher, or an encoder."""

from typing import Any

import torch
from torch.nn.functional import pad

from distillery.distillation import embeddings
from distillery.distillation.layers import matched
from distillery.models import bert
from distillery.students import BertShape


@torch.no_grad()
def from_other(
    shape: BertShape, other: Any, kind: str, *, dropout: float, labels: dict[int, str]
) -> tuple[Any, str]:
    """A student (a BERT classifier) that starts from another, and how it does.

    Where width, heads and feed-forward blocks agree, it takes the other's embeddings, head, and
    the layers that it would learn from (`matched`). Else its embeddings start as the first
    principal components of the other's, turned alike for words, positions and token types, so
    that sums keep their meaning, and its layers at random. kind: what the other is called.
    """
    config = other.config
    student = bert.create(
        shape,
        vocab_size=config.vocab_size,
        positions=config.max_position_embeddings,
        token_types=config.type_vocab_size,
        pad_token_id=config.pad_token_id,
        dropout=dropout,
        labels=labels,
        activation=config.hidden_act,
        norm_eps=config.layer_norm_eps,
    )
    theirs = (config.hidden_size, config.num_attention_heads, config.intermediate_size)
    ours = (shape.width, shape.heads, shape.inner)
    if ours == theirs and shape.layers <= config.num_hidden_layers:
        return student, f"{kind} layers {_take_layers(student, other)}"
    _take_embeddings(student, other, shape.width)
    return student, f"PCA of the {kind}'s embeddings"


def _take_layers(student: Any, other: Any) -> str:
    taken = matched(student.config.num_hidden_layers, other.config.num_hidden_layers)
    parts = [
        (student.bert.embeddings, other.bert.embeddings),
        (student.bert.pooler, other.bert.pooler),
        (student.classifier, other.classifier),
    ]
    for layer, number in zip(student.bert.encoder.layer, taken, strict=True):
        parts.append((layer, other.bert.encoder.layer[number - 1]))
    for ours, theirs in parts:
        ours.load_state_dict(theirs.state_dict())
    return ",".join(map(str, taken))


def _take_embeddings(student: Any, other: Any, width: int) -> None:
    ours, theirs = student.bert.embeddings, other.bert.embeddings
    turn = embeddings.directions(theirs.word_embeddings.weight, width)
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        table = getattr(theirs, name).weight
        turned = (table - table.mean(dim=0)) @ turn
        getattr(ours, name).weight.copy_(pad(turned, (0, width - turn.shape[1])))
