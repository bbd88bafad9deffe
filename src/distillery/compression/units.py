"""What can be taken out of a classifier: heads, feed-forward neurons, hidden units of an RNN.

A unit is the places that it has in the weights: in those that compute it, and in those that read
it. Taking it out removes all of them, so that the matrices become smaller.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification

from distillery.errors import UserError
from distillery.models.attention import AttentionEncoder
from distillery.models.heads import Pool
from distillery.models.pruned_bert import PrunedBertConfig, PrunedBertForSequenceClassification
from distillery.models.rnn import RNNEncoder
from distillery.models.transformer import TransformerEncoder


@dataclass(frozen=True)
class Slice:
    """Unit u's places in a dimension of a weight: start + u * width + 0 ... width - 1, of each
    start."""

    weight: str
    dim: int
    starts: tuple[int, ...] = (0,)
    width: int = 1

    def places(self, units: Tensor) -> Tensor:
        """(U,) unit numbers -> (U, starts * width) places."""
        starts = torch.tensor(self.starts)[:, None] + torch.arange(self.width)  # (starts, width)
        return units[:, None] * self.width + starts.flatten()[None, :]


@dataclass(frozen=True)
class Group:
    """Units of one kind in one layer, of which the same share stays in every layer.

    kind: names the number that stays, in `smaller`. written, read: weights that compute the units
    and those that read them.
    """

    kind: str
    count: int
    written: tuple[Slice, ...]
    read: tuple[Slice, ...]


def of(model: Any) -> list[Group]:
    """The groups of a classifier. UserError for one that cannot be pruned."""
    if isinstance(model, BertForSequenceClassification):
        return [*_bert(model)]
    encoder = model.base_model
    if isinstance(encoder, RNNEncoder):
        return [*_recurrent(model)]
    if isinstance(encoder, AttentionEncoder):
        return [*_attention(encoder)]
    raise UserError(f"a model of the type {model.config.model_type} cannot be pruned")


def smaller(model: Any, kept: dict[str, int]) -> Any:
    """A new classifier, with random weights, of which `kept` says how many units stay: kind ->
    number."""
    config = model.config.to_dict()
    del config["model_type"]
    if isinstance(model, BertForSequenceClassification):
        sizes = {"kept_heads": kept["heads"], "intermediate_size": kept["neurons"]}
        return PrunedBertForSequenceClassification(PrunedBertConfig(**config | sizes))
    if isinstance(model.base_model, RNNEncoder):
        sizes = {"hidden_size": 2 * kept["hidden"]}
    else:
        width = model.config.attention_head_size
        width = width or model.config.hidden_size // model.config.num_attention_heads
        sizes = {"num_attention_heads": kept["heads"], "attention_head_size": width}
        if "neurons" in kept:
            sizes["intermediate_size"] = kept["neurons"]
    return type(model)(type(model.config)(**config | sizes))


def _both(prefix: str, starts: tuple[int, ...] = (0,), width: int = 1) -> tuple[Slice, Slice]:
    """The weight and the bias of a linear layer whose outputs are the units."""
    weight, bias = (Slice(f"{prefix}.{name}", 0, starts, width) for name in ("weight", "bias"))
    return weight, bias


def _bert(model: Any) -> Iterator[Group]:
    for number, layer in enumerate(model.bert.encoder.layer):
        at, attention = f"bert.encoder.layer.{number}", layer.attention.self
        width = attention.attention_head_size
        written = [
            part
            for name in ("query", "key", "value")
            for part in _both(f"{at}.attention.self.{name}", width=width)
        ]
        read = Slice(f"{at}.attention.output.dense.weight", 1, width=width)
        yield Group("heads", attention.num_attention_heads, (*written,), (read,))
        neurons = layer.intermediate.dense.out_features
        read = Slice(f"{at}.output.dense.weight", 1)
        yield Group("neurons", neurons, _both(f"{at}.intermediate.dense"), (read,))


def _attention(encoder: AttentionEncoder) -> Iterator[Group]:
    layers: Any = encoder.layers
    for number, layer in enumerate(layers):
        at, attention = f"encoder.layers.{number}", layer
        if isinstance(encoder, TransformerEncoder):
            neurons = layer.feed_forward[1].out_features
            read = Slice(f"{at}.feed_forward.3.weight", 1)
            yield Group("neurons", neurons, _both(f"{at}.feed_forward.1"), (read,))
            at, attention = f"{at}.attention", layer.attention
        total = attention.output.in_features
        width = total // attention.heads
        written = _both(f"{at}.query_key_value", starts=(0, total, 2 * total), width=width)
        read = Slice(f"{at}.output.weight", 1, width=width)
        yield Group("heads", attention.heads, written, (read,))


def _recurrent(model: Any) -> Iterator[Group]:
    layers = model.encoder.layers
    for number, layer in enumerate(layers):
        size = layer.hidden_size
        gates = 4 if isinstance(layer, nn.LSTM) else 3
        starts = tuple(gate * size for gate in range(gates))
        for offset, suffix in ((0, ""), (size, "_reverse")):
            at = f"encoder.layers.{number}"
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            written = tuple(Slice(f"{at}.{name}{suffix}", 0, starts) for name in names)
            read = [Slice(f"{at}.weight_hh_l0{suffix}", 1)]
            if number + 1 < len(layers):
                after = f"encoder.layers.{number + 1}.weight_ih_l0"
                read += [Slice(after + direction, 1, (offset,)) for direction in ("", "_reverse")]
            else:  # the pool gives two vectors, eight of a pair, each of both directions
                vectors = range(0, model.classifier.in_features, 2 * size)
                places = tuple(start + offset for start in vectors)
                read.append(Slice("classifier.weight", 1, places))
                if isinstance(model.pool, Pool):
                    read.append(Slice("pool.query.weight", 1, (offset,)))
            yield Group("hidden", size, written, (*read,))
