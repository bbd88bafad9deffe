"""BERT classifiers of transformers with less to compute: the same function of the text.

- Queries, keys and values come from one matmul in place of three.
- A classifier reads the first token of the last layer and nothing else: of the other tokens that
  layer needs keys and values alone. Their queries and feed-forward blocks are a seventh of a
  six-layer model, nearly half of a two-layer one.
- Attention is `fused_attention`'s.

The weights keep their names; what is saved is an ordinary BERT.
"""

import types
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import BertForSequenceClassification
from transformers.models.bert.modeling_bert import BertLayer, BertSelfAttention

from distillery.models import fused_attention


def _projected(attention: Any, states: Tensor, *names: str) -> list[Tensor]:
    """(B, T, H) -> for each of query, key, value that is named (B, heads, T, H / heads)."""
    layers = [getattr(attention, name) for name in names]
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    found = linear(states, weight, bias)
    split = found.view(*states.shape[:2], len(names), -1, attention.attention_head_size)
    return list(split.permute(2, 0, 3, 1, 4))


def _attention(
    attention: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
) -> tuple[Tensor, None]:
    """As `BertSelfAttention.forward`."""
    query, key, value = _projected(attention, hidden_states, "query", "key", "value")
    return _mixed(attention, query, key, value, attention_mask), None


def _mixed(
    attention: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> Tensor:
    """(B, heads, T, W) thrice -> (B, T, H)."""
    dropout = attention.dropout.p if attention.training else 0.0
    found = fused_attention.attend(query, key, value, mask, attention.scaling, dropout)
    return found.transpose(1, 2).flatten(2)


def _last_layer(
    layer: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    """(B, T, H) -> (B, 1, H): the layer's output for the first token."""
    first, attention = hidden_states[:, :1], layer.attention.self
    (query,) = _projected(attention, first, "query")
    key, value = _projected(attention, hidden_states, "key", "value")
    mixed = _mixed(attention, query, key, value, attention_mask)
    output: Tensor = layer.feed_forward_chunk(layer.attention.output(mixed, first))
    return output


def use_in(model: Any) -> None:
    """Makes a BERT classifier compute what its logits need, and that fast.

    Other models stay as they are. `last_hidden_state` then holds the first token alone, and there
    are no attentions to ask for: this is for models whose logits are all that is wanted.
    """
    if not isinstance(model, BertForSequenceClassification) or model.config.is_decoder:
        return
    fused_attention.use_in(model)
    layers: list[BertLayer] = [*model.bert.encoder.layer]
    for layer in layers:
        attention: BertSelfAttention = layer.attention.self
        attention.forward = types.MethodType(_attention, attention)
    layers[-1].forward = types.MethodType(_last_layer, layers[-1])
