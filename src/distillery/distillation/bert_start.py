"""A student of BERT's shape that starts from its teacher, a BERT of other sizes."""

from typing import Any

import torch
from torch.nn.functional import pad

from distillery.distillation import embeddings
from distillery.distillation.layers import matched
from distillery.models import bert
from distillery.recipes.names import BertShape


@torch.no_grad()
def from_teacher(
    shape: BertShape, teacher: Any, *, dropout: float, labels: dict[int, str]
) -> tuple[Any, str]:
    """A student (a BERT classifier) that starts from a teacher (another), and how it does.

    Where width, heads and feed-forward blocks agree, it takes the teacher's embeddings, head, and
    the layers that it would learn from (`matched`). Else its embeddings start as the first
    principal components of the teacher's, turned alike for words, positions and token types, so
    that sums keep their meaning, and its layers at random.
    """
    config = teacher.config
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
        return student, _take_layers(student, teacher)
    return student, _take_embeddings(student, teacher, shape.width)


def _take_layers(student: Any, teacher: Any) -> str:
    taken = matched(student.config.num_hidden_layers, teacher.config.num_hidden_layers)
    parts = [
        (student.bert.embeddings, teacher.bert.embeddings),
        (student.bert.pooler, teacher.bert.pooler),
        (student.classifier, teacher.classifier),
    ]
    for layer, number in zip(student.bert.encoder.layer, taken, strict=True):
        parts.append((layer, teacher.bert.encoder.layer[number - 1]))
    for ours, theirs in parts:
        ours.load_state_dict(theirs.state_dict())
    return f"teacher layers {','.join(map(str, taken))}"


def _take_embeddings(student: Any, teacher: Any, width: int) -> str:
    ours, theirs = student.bert.embeddings, teacher.bert.embeddings
    turn = embeddings.directions(theirs.word_embeddings.weight, width)
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        table = getattr(theirs, name).weight
        turned = (table - table.mean(dim=0)) @ turn
        getattr(ours, name).weight.copy_(pad(turned, (0, width - turn.shape[1])))
    return "PCA of the teacher's embeddings"
