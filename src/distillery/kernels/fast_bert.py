"""BERT classifiers of transformers that compute the same function with less work.

- Queries, keys and values come from one matmul in place of three.
- A classifier reads only the first token of the last layer, so that layer needs just keys and
  values of the other tokens. Their queries and feed-forward blocks are a seventh of a six-layer
  model, nearly half of a two-layer one.
- Attention is `fused_attention`'s. In bf16 inference on a GPU the texts of a batch are packed one
  after the other, without padding (`Packed`).

The weights keep their names; what is saved is an ordinary BERT.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import BertForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.models.bert.modeling_bert import BertLayer

from distillery import kernels
from distillery.kernels import fused_attention


@dataclass(frozen=True)
class Packed:
    """The texts of a batch, one after the other: text i is tokens starts[i]:starts[i + 1].

    starts: (B + 1,) int32. longest: tokens of the longest text.
    """

    starts: Tensor
    longest: int

    @classmethod
    def of(cls, mask: Tensor) -> "Packed":
        """mask: (B, T), true on text."""
        lengths = mask.sum(dim=1, dtype=torch.int32)
        starts = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
        return cls(starts, mask.shape[1])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """(Q, heads, W) and (N, heads, W) twice -> (Q, heads, W). Q is N, all tokens, or B, the
        first one of each text."""
        from torch.nn.attention.varlen import varlen_attn

        starts, longest = self.starts, self.longest
        if len(query) == len(starts) - 1:  # with as many tokens as texts both mean the same
            starts = torch.arange(len(starts), dtype=torch.int32, device=query.device)
            longest = 1
        lengths = (starts, self.starts, longest, self.longest)
        out = varlen_attn(query, key, value, *lengths, scale=scale)
        assert isinstance(out, Tensor)  # no log-sum-exp was asked for
        return out


def _projected(attention: Any, states: Tensor, *names: str) -> list[Tensor]:
    """(B, T, H) -> for each of query, key, value that is named (B, T, heads, H / heads)."""
    layers = [getattr(attention, name) for name in names]
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    found = linear(states, weight, bias)
    split = found.view(*states.shape[:2], len(names), -1, attention.attention_head_size)
    return list(split.unbind(2))


def _mixed(
    attention: Any, query: Tensor, key: Tensor, value: Tensor, texts: Tensor | Packed | None
) -> Tensor:
    """(B, Q, heads, W), (B, T, heads, W) twice -> (B, Q, H)."""
    if isinstance(texts, Packed):
        return texts.attend(query[0], key[0], value[0], attention.scaling).flatten(1)[None]
    dropout = attention.dropout.p if attention.training else 0.0
    q, k, v = (part.transpose(1, 2) for part in (query, key, value))
    found = fused_attention.attend(q, k, v, texts, attention.scaling, dropout)
    return found.transpose(1, 2).flatten(2)


def _attention(
    attention: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | Packed | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """As `BertSelfAttention.forward`."""
    query, key, value = _projected(attention, hidden_states, "query", "key", "value")
    if attention.watch:
        attention.watch(query, key, value)
    return _mixed(attention, query, key, value, attention_mask), None


def _last_layer(
    layer: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | Packed | None = None,
    *_: Any,
    **__: Any,
) -> Tensor:
    """(B, T, H) -> (B, 1, H), packed (1, N, H) -> (1, B, H): the output for the first tokens."""
    packed, attention = isinstance(attention_mask, Packed), layer.attention.self
    first = hidden_states[:, attention_mask.starts[:-1] if packed else slice(0, 1)]  # type: ignore[union-attr]
    (query,) = _projected(attention, first, "query")
    key, value = _projected(attention, hidden_states, "key", "value")
    mixed = _mixed(attention, query, key, value, attention_mask)
    result: Tensor = layer.feed_forward_chunk(layer.attention.output(mixed, first))
    return result


def _packs(states: Tensor) -> bool:
    """Whether to remove padding: in inference on a GPU. That kernel needs no plan for each new
    shape, as cuDNN's does, and is as fast; in training its backward pass takes 1.2 times as long,
    and counting the tokens would wait for the GPU."""
    low = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") != torch.float32
    return states.is_cuda and low and not torch.is_grad_enabled()


def _encoder(
    encoder: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
) -> BaseModelOutputWithPastAndCrossAttentions:
    """As `BertEncoder.forward`, of the first tokens alone: (B, T, H) -> (B, 1, H)."""
    texts: Tensor | Packed | None = attention_mask
    packs = encoder.packs(hidden_states)
    if packs:
        mask = attention_mask
        if mask is None:
            mask = hidden_states.new_ones(hidden_states.shape[:2], dtype=torch.bool)
        hidden_states, texts = hidden_states[mask][None], Packed.of(mask)
    for layer in encoder.layer:
        hidden_states = layer(hidden_states, texts)
    first = hidden_states.transpose(0, 1) if packs else hidden_states
    return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=first)


def use_in(model: Any, packs: Callable[[Tensor], bool] = _packs) -> None:
    """Makes a BERT classifier compute only what its logits need, and fast.

    Other models stay as they are, and all do where kernels are off. `last_hidden_state` then holds
    the first token alone, without hidden states or attentions: use it only where the
    logits are all that is needed. packs: states -> whether padding is removed.
    """
    if not isinstance(model, BertForSequenceClassification) or model.config.is_decoder:
        return
    use_attention_in(model)
    if not kernels.on():
        return
    encoder = model.bert.encoder
    encoder.packs = packs  # type: ignore[assignment]
    encoder.forward = types.MethodType(_encoder, encoder)  # type: ignore[method-assign]
    last: BertLayer = encoder.layer[-1]  # type: ignore[assignment]
    last.forward = types.MethodType(_last_layer, last)  # type: ignore[method-assign]


def use_attention_in(
    model: Any, watch: Callable[[Tensor, Tensor, Tensor], None] | None = None
) -> None:
    """Makes a BERT with any head attend fast, unless kernels are off. Its states are those of
    every token, also after `use_in`.

    watch: is given queries, keys and values of each layer, (B, T, heads, W), from first to last,
    with kernels on or off.
    """
    fast = kernels.on()
    if fast:
        fused_attention.use_in(model)
    encoder = model.bert.encoder
    for less in (encoder, encoder.layer[-1]):
        vars(less).pop("forward", None)
    for layer in encoder.layer:
        attention: Any = layer.attention.self
        attention.watch = watch
        if fast:
            attention.forward = types.MethodType(_attention, attention)
        elif not attention._forward_hooks:
            attention.register_forward_hook(_show, with_kwargs=True)


def _show(attention: Any, inputs: tuple[Any, ...], named: dict[str, Any], _: Any) -> None:
    """Shows `watch` the projections of the layer as transformers wrote it, which keeps none."""
    if attention.watch:
        states = inputs[0] if inputs else named["hidden_states"]
        attention.watch(*_projected(attention, states, "query", "key", "value"))


def compile_in(model: Any) -> None:
    """Makes a BERT classifier's layers train through `torch.compile`, one compilation for all
    lengths of text. They still answer as before, which would be compiled anew. Call it after
    `use_in`."""
    for layer in model.bert.encoder.layer:
        eager = layer.forward
        layer.forward = _training_only(torch.compile(eager, dynamic=True), eager)


def _training_only(compiled: Callable[..., Tensor], eager: Callable[..., Tensor]) -> Any:
    def forward(*arguments: Any, **named: Any) -> Tensor:
        return (compiled if torch.is_grad_enabled() else eager)(*arguments, **named)

    return forward
